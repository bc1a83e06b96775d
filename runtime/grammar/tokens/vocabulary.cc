// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/vocabulary.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/utf8.h"

namespace sdar::grammar {
namespace {

// Characters of a plain token; 0 for one that breaks off with a quote or a backslash, -1 for one
// that cannot stand in a JSON string.
int PlainCharacters(absl::string_view bytes) {
  int count = 0;
  for (size_t at = 0; at < bytes.size(); ++count) {
    const auto byte = static_cast<uint8_t>(bytes[at]);
    if (byte == '"' || byte == '\\') return 0;
    if (byte < 0x20) return -1;
    const Utf8Step step = ReadUtf8(bytes, at);
    if (!step.valid && !step.truncated) return -1;
    at += step.length;
  }
  return count;
}

bool IsSpace(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return c == ' ' || c == '\n' || c == '\t'; });
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens)
    : tokens_(std::move(tokens)), space_(num_words()) {
  using Entry = std::pair<absl::string_view, TokenId>;
  std::vector<Entry> sorted;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].size() > std::numeric_limits<uint16_t>::max()) tokens_[i].clear();
    if (!tokens_[i].empty()) sorted.emplace_back(tokens_[i], static_cast<TokenId>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<Entry> distinct;
  std::vector<std::vector<Entry>> by_count(kMaxCounted + 1);
  for (const Entry& entry : sorted) {
    if (!distinct.empty() && distinct.back().first == entry.first) {
      twins_.push_back({distinct.back().second, entry.second});
      continue;
    }
    distinct.push_back(entry);
    const int count = PlainCharacters(entry.first);
    if (count >= 0) by_count[static_cast<size_t>(std::min(count, kMaxCounted))].push_back(entry);
    if (IsSpace(entry.first)) SetBit(space_, entry.second);
  }
  all_ = TokenTrie(distinct);
  has_all_bytes_ = std::count_if(distinct.begin(), distinct.end(),
                                 [](const Entry& entry) { return entry.first.size() == 1; }) == 256;
  plain_up_to_.emplace_back(num_words());
  for (size_t count = 0; count < by_count.size(); ++count) {
    plain_.emplace_back(by_count[count]);
    if (count == 0) continue;
    plain_up_to_.push_back(plain_up_to_.back());
    for (const Entry& entry : by_count[count]) SetBit(plain_up_to_.back(), entry.second);
  }
}

const TokenBits& Vocabulary::PlainUpTo(int count, bool all) const {
  const int last = all ? kMaxCounted : std::min(count, kMaxCounted - 1);
  return plain_up_to_[static_cast<size_t>(last)];
}

void Vocabulary::AddTwins(TokenBits& bits) const {
  for (const Twin& twin : twins_) {
    if (HasBit(bits, twin.first)) SetBit(bits, twin.second);
  }
}

}  // namespace sdar::grammar
