// SPDX-License-Identifier: Apache-2.0
#include "common/json.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// The start of `text`, so that an error stays short whatever it quotes; cut between characters.
absl::string_view Shorten(absl::string_view text) {
  constexpr size_t kMaxQuoted = 200;
  if (text.size() <= kMaxQuoted) return text;
  size_t end = kMaxQuoted;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return text.substr(0, end);
}

// Builds a Json value from parser events, refusing deep nesting before the recursion of a tree
// could hurt.
class BoundedBuilder : public nlohmann::json_sax<Json> {
 public:
  BoundedBuilder(int max_depth, bool unique_keys)
      : max_depth_(max_depth), unique_keys_(unique_keys) {}

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(Json::object()); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (unique_keys_ && !keys_.back().insert(name).second) {
      error_ = absl::StrCat("key '", Shorten(name), "' appears twice in one object");
      return false;
    }
    pending_keys_.back() = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    error_ = absl::StrCat("not JSON at byte ", position, ": ", Shorten(e.what()));
    return false;
  }

  const std::string& error() const { return error_; }
  Json Take() { return std::move(root_); }

 private:
  // ordered_json's own insertion scans all keys, which is quadratic in large vocabularies; later
  // wins, as elsewhere.
  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }

  Json* Place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    std::string& name = pending_keys_.back();
    const bool fresh = !unique_keys_ ? keys_.back().insert(name).second : true;
    if (!fresh) return &(parent[name] = std::move(value));
    members.push_back({std::move(name), std::move(value)});
    return &members.back().second;
  }

  bool Open(Json container) {
    if (static_cast<int>(open_.size()) >= max_depth_) {
      error_ = absl::StrCat("nested deeper than ", max_depth_, " levels");
      return false;
    }
    open_.push_back(Place(std::move(container)));
    keys_.emplace_back();
    pending_keys_.emplace_back();
    return true;
  }

  bool Close() {
    open_.pop_back();
    keys_.pop_back();
    pending_keys_.pop_back();
    return true;
  }

  int max_depth_;
  bool unique_keys_;
  Json root_;
  std::vector<Json*> open_;  // a child only grows while its parents wait, so these stay valid
  std::vector<std::set<std::string>> keys_;
  std::vector<std::string> pending_keys_;
  std::string error_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source, int max_depth,
                               bool unique_keys) {
  BoundedBuilder builder(max_depth, unique_keys);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", builder.error()));
  }
  return builder.Take();
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": expected at most ", max_bytes, " bytes, got ", size));
  }
  std::string content(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(content.data(), static_cast<std::streamsize>(size)) && size > 0) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  }
  return content;
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, int max_depth) {
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  return ParseJson(text, path, max_depth);
}

}  // namespace sdar
