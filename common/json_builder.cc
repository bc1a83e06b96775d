// SPDX-License-Identifier: Apache-2.0
#include "common/json_builder.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"

namespace sdar {
namespace {

// Up to here a walk over the members is faster than a hash.
constexpr size_t kMaxWalkedMembers = 16;

// What the library's message says, in our words.
struct Reason {
  absl::string_view theirs;
  absl::string_view ours;
};
constexpr Reason kReasons[] = {
    {"unexpected end of input", "the text ends too early"},
    {"missing closing quote", "a string is not closed"},
    {"ill-formed UTF-8", "a string is not UTF-8"},
    {"control character", "a string holds a control character that is not escaped"},
    {"surrogate", "an escape is half of a surrogate pair"},
    {"'\\u' must be followed", "an escape lacks its four hexadecimal digits"},
    {"forbidden character after backslash", "an escape is not known"},
    {"number overflow", "a number is out of range"},
    {"invalid number", "a number is malformed"},
    {"invalid literal", "expected a value, got something else"},
};

absl::string_view ReasonOf(absl::string_view message) {
  for (const Reason& reason : kReasons) {
    if (absl::StrContains(message, reason.theirs)) return reason.ours;
  }
  return "a character is out of place";
}

}  // namespace

std::optional<size_t> JsonKeyIndex::Find(absl::string_view key) const {
  if (positions_.has_value()) {
    const auto it = positions_->find(key);
    return it == positions_->end() ? std::nullopt : std::optional<size_t>(*it);
  }
  for (size_t i = 0; i < members_->size(); ++i) {
    if (members_->data()[i].first == key) return i;
  }
  return std::nullopt;
}

void JsonKeyIndex::NoteLast() {
  if (!positions_.has_value()) {
    if (members_->size() <= kMaxWalkedMembers) return;
    positions_.emplace(0, Hash{members_}, Equal{members_});
    for (size_t i = 0; i + 1 < members_->size(); ++i) {
      positions_->insert(static_cast<uint32_t>(i));
    }
  }
  positions_->insert(static_cast<uint32_t>(members_->size() - 1));
}

// The parser reports an integer beyond 64 bits as the float next to it.
bool JsonBuilder::number_float(number_float_t value, const string_t& text) {
  const bool is_integer = text.find_first_not_of("-0123456789") == std::string::npos;
  return Place(is_integer ? MakeBigInteger(text) : Json(value)) != nullptr;
}

bool JsonBuilder::MayNest() {
  if (open_.size() < static_cast<size_t>(max_depth_)) return true;
  error_ = absl::StrCat("nested deeper than ", max_depth_, " levels");
  return false;
}

bool JsonBuilder::start_object(size_t) {
  Json* const placed = MayNest() ? Place(Json::object()) : nullptr;
  if (placed == nullptr) return false;
  open_.push_back({placed, JsonKeyIndex(placed->get_ref<const Json::object_t&>())});
  return true;
}

bool JsonBuilder::start_array(size_t) {
  Json* const placed = MayNest() ? Place(Json::array()) : nullptr;
  if (placed == nullptr) return false;
  open_.push_back({placed, std::nullopt});
  return true;
}

bool JsonBuilder::end_object() {
  open_.pop_back();
  return true;
}

bool JsonBuilder::end_array() {
  open_.pop_back();
  return true;
}

bool JsonBuilder::key(string_t& name) {
  Level& level = open_.back();
  auto& members = level.container->get_ref<Json::object_t&>();
  const std::optional<size_t> found = level.index->Find(name);
  if (found.has_value() && unique_keys_) {
    error_ = absl::StrCat("key '", Shorten(name), "' appears twice in one object");
    return false;
  }
  level.position = found.value_or(members.size());
  if (found.has_value()) return true;
  members.push_back({std::move(name), Json()});
  level.index->NoteLast();
  return true;
}

Json* JsonBuilder::Place(Json value) {
  if (++num_values_ > max_values_) {
    error_ = absl::StrCat("expected at most ", max_values_, " values, got more");
    return nullptr;
  }
  if (open_.empty()) return &(root_ = std::move(value));
  Level& level = open_.back();
  if (level.index.has_value()) {
    auto& members = level.container->get_ref<Json::object_t&>();
    return &(members.data()[level.position].second = std::move(value));
  }
  level.container->push_back(std::move(value));
  return &level.container->back();
}

bool JsonBuilder::parse_error(size_t position, const std::string& last_token,
                              const nlohmann::detail::exception& e) {
  const absl::string_view before = text_.substr(0, std::min(position, text_.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const bool ended = position > text_.size();
  error_ = absl::StrCat("not JSON at byte ", position, ", line ", line, ": ",
                        ended && last_token.empty() ? kReasons[0].ours : ReasonOf(e.what()));
  if (!last_token.empty()) absl::StrAppend(&error_, ", at '", Shorten(last_token), "'");
  return false;
}

}  // namespace sdar
