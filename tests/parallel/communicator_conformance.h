// SPDX-License-Identifier: Apache-2.0
// What every Communicator must do, written once: each check runs on all ranks of a group and says
// what is wrong with this rank's outcome, or nothing.
#pragma once

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "parallel/communicator.h"

namespace sdar {

// OK, or an Unknown status that says what differs.
inline absl::Status Expect(bool condition, absl::string_view what) {
  return condition ? absl::OkStatus() : absl::UnknownError(what);
}

inline const std::vector<int64_t>& ConformanceCounts() {
  static const auto* counts = new std::vector<int64_t>{0, 1, 2, 3, 5, 64, 1000, 100003};
  return *counts;
}

// Element i of rank r's contribution; sums of any order are exact.
inline float ExactValue(int rank, int64_t i) {
  return static_cast<float>((rank + 1) * (i % 1001 - 500));
}

// Element i of rank r's contribution; the sum depends on the order of the ranks.
inline float RoughValue(int rank, int64_t i) {
  const int64_t mixed = (i + 7) * (rank + 3) * 2654435761 % 1000003;
  const float scale = rank % 2 == 0 ? 1e6f : 1e-2f;
  return (static_cast<float>(mixed) / 1000003.0f - 0.5f) * scale;
}

// Every rank's bits equal those of adding rank after rank.
template <typename Value>
absl::Status CheckAllReduce(Communicator& c, Value value) {
  for (int64_t count : ConformanceCounts()) {
    std::vector<float> data(static_cast<size_t>(count)), want(data.size());
    for (int64_t i = 0; i < count; ++i) {
      data[static_cast<size_t>(i)] = value(c.rank(), i);
      float sum = value(0, i);
      for (int r = 1; r < c.size(); ++r) sum += value(r, i);
      want[static_cast<size_t>(i)] = sum;
    }
    SDAR_RETURN_IF_ERROR(c.AllReduceSum(data.data(), count));
    SDAR_RETURN_IF_ERROR(Expect(data == want, absl::StrCat("all-reduce of ", count)));
  }
  return absl::OkStatus();
}

inline absl::Status CheckAllReduceOfExactSums(Communicator& c) {
  return CheckAllReduce(c, ExactValue);
}

inline absl::Status CheckAllReduceAddsInRankOrder(Communicator& c) {
  return CheckAllReduce(c, RoughValue);
}

// The same element has the same sum whatever else is reduced with it.
inline absl::Status CheckAllReduceDoesNotDependOnCount(Communicator& c) {
  std::vector<float> whole(1003);
  for (size_t i = 0; i < whole.size(); ++i)
    whole[i] = RoughValue(c.rank(), static_cast<int64_t>(i));
  const std::vector<float> mine = whole;
  SDAR_RETURN_IF_ERROR(c.AllReduceSum(whole.data(), 1003));
  for (size_t first : {0u, 1u, 500u, 1000u}) {
    std::vector<float> part(mine.begin() + static_cast<std::ptrdiff_t>(first), mine.end());
    SDAR_RETURN_IF_ERROR(c.AllReduceSum(part.data(), static_cast<int64_t>(part.size())));
    const bool same =
        std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first));
    SDAR_RETURN_IF_ERROR(Expect(same, absl::StrCat("all-reduce from ", first)));
  }
  return absl::OkStatus();
}

// Byte i that rank `from` sends to rank `to`.
inline uint8_t MessageByte(int from, int to, int64_t i) {
  return static_cast<uint8_t>(31 * from + 7 * to + i % 251);
}

inline absl::Status CheckAllGather(Communicator& c, const std::vector<int64_t>& sizes) {
  std::vector<uint8_t> send, want;
  for (int r = 0; r < c.size(); ++r) {
    for (int64_t i = 0; i < sizes[static_cast<size_t>(r)]; ++i) {
      if (r == c.rank()) send.push_back(MessageByte(r, 0, i));
      want.push_back(MessageByte(r, 0, i));
    }
  }
  std::vector<uint8_t> recv(want.size());
  SDAR_RETURN_IF_ERROR(c.AllGather(send.data(), sizes, recv.data()));
  return Expect(recv == want, "all-gather");
}

inline absl::Status CheckAllGatherOfEqualSizes(Communicator& c) {
  return CheckAllGather(c, std::vector<int64_t>(static_cast<size_t>(c.size()), 1000));
}

inline absl::Status CheckAllGatherOfUnequalSizes(Communicator& c) {
  std::vector<int64_t> sizes;
  for (int r = 0; r < c.size(); ++r) sizes.push_back(r % 2 == 0 ? 70000 * r + 13 : 0);
  return CheckAllGather(c, sizes);
}

inline absl::Status CheckAllGatherOfNothing(Communicator& c) {
  return CheckAllGather(c, std::vector<int64_t>(static_cast<size_t>(c.size()), 0));
}

// bytes(from, to): what rank `from` sends to rank `to`.
template <typename Bytes>
absl::Status CheckAllToAll(Communicator& c, Bytes bytes) {
  std::vector<int64_t> send_bytes, recv_bytes;
  std::vector<uint8_t> send, want;
  for (int r = 0; r < c.size(); ++r) {
    send_bytes.push_back(bytes(c.rank(), r));
    recv_bytes.push_back(bytes(r, c.rank()));
    for (int64_t i = 0; i < send_bytes.back(); ++i) send.push_back(MessageByte(c.rank(), r, i));
    for (int64_t i = 0; i < recv_bytes.back(); ++i) want.push_back(MessageByte(r, c.rank(), i));
  }
  std::vector<uint8_t> recv(want.size());
  SDAR_RETURN_IF_ERROR(c.AllToAll(send.data(), send_bytes, recv.data(), recv_bytes));
  return Expect(recv == want, "all-to-all");
}

inline absl::Status CheckAllToAllOfEqualSizes(Communicator& c) {
  return CheckAllToAll(c, [](int, int) -> int64_t { return 100; });
}

inline absl::Status CheckAllToAllEqual(Communicator& c) {
  for (int64_t bytes : {0, 1, 24, 5003}) {
    std::vector<uint8_t> send, want;
    for (int r = 0; r < c.size(); ++r) {
      for (int64_t i = 0; i < bytes; ++i) send.push_back(MessageByte(c.rank(), r, i));
      for (int64_t i = 0; i < bytes; ++i) want.push_back(MessageByte(r, c.rank(), i));
    }
    std::vector<uint8_t> recv(want.size());
    SDAR_RETURN_IF_ERROR(c.AllToAllEqual(send.data(), bytes, recv.data()));
    SDAR_RETURN_IF_ERROR(Expect(recv == want, absl::StrCat("all-to-all of ", bytes, " each")));
  }
  return absl::OkStatus();
}

inline absl::Status CheckAllToAllOfUnequalSizes(Communicator& c) {
  SDAR_RETURN_IF_ERROR(
      CheckAllToAll(c, [](int from, int to) -> int64_t { return 5003 * from + 17 * to; }));
  return CheckAllToAll(c, [](int from, int to) -> int64_t { return from == to ? 0 : from; });
}

inline absl::Status CheckAllToAllOfNothing(Communicator& c) {
  return CheckAllToAll(c, [](int, int) -> int64_t { return 0; });
}

inline absl::Status CheckBroadcastFromEveryRoot(Communicator& c) {
  for (int root = 0; root < c.size(); ++root) {
    for (int64_t size : {0, 1, 1000, 300000}) {
      std::vector<uint8_t> data(static_cast<size_t>(size)), want(data.size());
      for (int64_t i = 0; i < size; ++i) {
        want[static_cast<size_t>(i)] = MessageByte(root, 1, i);
        data[static_cast<size_t>(i)] = MessageByte(c.rank(), 1, i);
      }
      SDAR_RETURN_IF_ERROR(c.Broadcast(data.data(), size, root));
      SDAR_RETURN_IF_ERROR(Expect(data == want, absl::StrCat("broadcast from ", root)));
    }
  }
  return absl::OkStatus();
}

// Many small collectives of every kind in a row: none may take another's messages.
inline absl::Status CheckManyInARow(Communicator& c) {
  for (int round = 0; round < 200; ++round) {
    float sum = static_cast<float>(c.rank() + round);
    SDAR_RETURN_IF_ERROR(c.AllReduceSum(&sum, 1));
    const int n = c.size();
    const auto want = static_cast<float>(n * round + n * (n - 1) / 2);
    SDAR_RETURN_IF_ERROR(Expect(sum == want, absl::StrCat("round ", round)));
    int64_t value = c.rank() == round % n ? round : -1;
    SDAR_RETURN_IF_ERROR(c.Broadcast(&value, sizeof value, round % n));
    SDAR_RETURN_IF_ERROR(Expect(value == round, absl::StrCat("broadcast ", round)));
    if (round % 16 == 0) SDAR_RETURN_IF_ERROR(c.Barrier());
  }
  return absl::OkStatus();
}

using ConformanceCheck = absl::Status (*)(Communicator&);
struct NamedCheck {
  const char* name;
  ConformanceCheck check;
};
inline void PrintTo(const NamedCheck& check, std::ostream* out) { *out << check.name; }

inline constexpr NamedCheck kConformanceChecks[] = {
    {"AllReduceOfExactSums", CheckAllReduceOfExactSums},
    {"AllReduceAddsInRankOrder", CheckAllReduceAddsInRankOrder},
    {"AllReduceDoesNotDependOnCount", CheckAllReduceDoesNotDependOnCount},
    {"AllGatherOfEqualSizes", CheckAllGatherOfEqualSizes},
    {"AllGatherOfUnequalSizes", CheckAllGatherOfUnequalSizes},
    {"AllGatherOfNothing", CheckAllGatherOfNothing},
    {"AllToAllOfEqualSizes", CheckAllToAllOfEqualSizes},
    {"AllToAllEqual", CheckAllToAllEqual},
    {"AllToAllOfUnequalSizes", CheckAllToAllOfUnequalSizes},
    {"AllToAllOfNothing", CheckAllToAllOfNothing},
    {"BroadcastFromEveryRoot", CheckBroadcastFromEveryRoot},
    {"ManyInARow", CheckManyInARow},
};

}  // namespace sdar
