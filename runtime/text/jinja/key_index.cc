// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/key_index.h"

#include <cmath>

namespace sdar {
namespace {

// Up to here a walk over the members is faster than a hash.
constexpr size_t kMaxWalkedMembers = 8;

}  // namespace

JinjaKey JinjaKey::OfText(absl::string_view text) {
  JinjaKey key;
  key.kind = Kind::kText;
  key.text = text;
  return key;
}

std::optional<JinjaKey> JinjaKey::Of(const JinjaValue& value) {
  if (value.is_string()) return OfText(value.text());
  JinjaKey key;
  if (value.is_none()) return key;
  if (value.is_undefined()) {
    key.kind = Kind::kUndefined;
    return key;
  }
  if (!value.is_number()) return std::nullopt;
  key.kind = Kind::kInteger;
  if (!value.is_float()) {
    key.integer = value.integer();
    return key;
  }
  const double number = value.number();
  if (std::isnan(number)) return std::nullopt;
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  if (number == std::floor(number) && number >= -kEnd && number < kEnd) {
    key.integer = static_cast<int64_t>(number);
  } else {
    key.kind = Kind::kFloat;
    key.number = number;
  }
  return key;
}

void JinjaKeyIndex::Reserve(size_t num_members) {
  if (num_members <= kMaxWalkedMembers || positions_.has_value()) return;
  positions_.emplace(0, Hash{members_}, Equal{members_});
  positions_->reserve(num_members);
  for (size_t i = 0; i < num_noted_; ++i) positions_->insert(static_cast<uint32_t>(i));
}

std::optional<size_t> JinjaKeyIndex::Find(const JinjaKey& key) const {
  if (positions_.has_value()) {
    const auto it = positions_->find(key);
    return it == positions_->end() ? std::nullopt : std::optional<size_t>(*it);
  }
  for (size_t i = 0; i < num_noted_; ++i) {
    if (JinjaKey::Of((*members_)[i].first) == key) return i;
  }
  return std::nullopt;
}

void JinjaKeyIndex::NoteNext() {
  Reserve(num_noted_ + 1);
  const size_t position = num_noted_++;
  if (positions_.has_value()) positions_->insert(static_cast<uint32_t>(position));
}

}  // namespace sdar
