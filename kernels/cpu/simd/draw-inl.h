// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (Salmon et al., SC 2011) of many counters at once: the words of common/draw_key.h.

// Counters worked on side by side. Plain loops over this many elements become vector code.
constexpr int kCounters = 4 * kLanes;

struct PhiloxState {
  uint32_t counter[4][kCounters];
};

inline void PhiloxRound(uint32_t key0, uint32_t key1, PhiloxState& s) {
  for (int i = 0; i < kCounters; ++i) {
    const uint64_t first = uint64_t{0xD2511F53u} * s.counter[0][i];
    const uint64_t second = uint64_t{0xCD9E8D57u} * s.counter[2][i];
    const uint32_t c1 = s.counter[1][i], c3 = s.counter[3][i];
    s.counter[0][i] = static_cast<uint32_t>(second >> 32) ^ c1 ^ key0;
    s.counter[1][i] = static_cast<uint32_t>(second);
    s.counter[2][i] = static_cast<uint32_t>(first >> 32) ^ c3 ^ key1;
    s.counter[3][i] = static_cast<uint32_t>(first);
  }
}

void DrawGroups(uint64_t seed, uint32_t position, uint32_t step, uint32_t first_group,
                int64_t count, uint32_t* out) {
  for (int64_t begin = 0; begin < count; begin += kCounters) {
    PhiloxState s;
    for (int i = 0; i < kCounters; ++i) {
      s.counter[0][i] = first_group + static_cast<uint32_t>(begin + i);
      s.counter[1][i] = position;
      s.counter[2][i] = step;
      s.counter[3][i] = 0;
    }
    auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      PhiloxRound(key0, key1, s);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const int64_t n = count - begin < kCounters ? count - begin : kCounters;
    for (int64_t i = 0; i < n; ++i) {
      for (int w = 0; w < 4; ++w) out[4 * (begin + i) + w] = s.counter[w][i];
    }
  }
}
