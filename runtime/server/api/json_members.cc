// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/json_members.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"

namespace sdar {
namespace {

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// Walks over one text by the grammar of RFC 8259 and copies its tokens. Strings are left to
// ParseJson, once they end where they should.
class Walk {
 public:
  Walk(absl::string_view text, int max_depth) : rest_(text), depth_left_(max_depth) {}

  bool TakeObject(std::vector<JsonMember>& members) {
    SkipSpace();
    if (!Take('{')) return false;
    if (TakeSpaced('}')) return AtEnd();
    do {
      SkipSpace();
      std::string name;
      JsonMember member;
      if (!CopyString(name)) return false;
      const auto decoded = ParseJson(name, "");
      if (!decoded.ok() || !TakeSpaced(':')) return false;
      member.name = decoded->get<std::string>();
      if (!CopyValue(member.value)) return false;
      members.push_back(std::move(member));
    } while (TakeSpaced(','));
    return TakeSpaced('}') && AtEnd();
  }

 private:
  void SkipSpace() {
    const size_t at = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(at == absl::string_view::npos ? rest_.size() : at);
  }

  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool TakeSpaced(char c) {
    SkipSpace();
    return Take(c);
  }

  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }

  bool CopyValue(std::string& out) {
    SkipSpace();
    if (rest_.empty()) return false;
    if (rest_[0] == '{' || rest_[0] == '[') return CopyNested(out);
    if (rest_[0] == '"') return CopyString(out);
    for (const absl::string_view word : {"true", "false", "null"}) {
      if (absl::StartsWith(rest_, word)) return Copy(word.size(), out);
    }
    return CopyNumber(out);
  }

  bool Copy(size_t count, std::string& out) {
    absl::StrAppend(&out, rest_.substr(0, count));
    rest_.remove_prefix(count);
    return true;
  }

  bool CopyNested(std::string& out) {
    const char open = rest_[0];
    const char close = open == '{' ? '}' : ']';
    if (--depth_left_ <= 0) return false;
    Copy(1, out);
    if (!TakeSpaced(close)) {
      do {
        if (out.back() != open) out.push_back(',');
        if (open == '{') {
          SkipSpace();
          if (!CopyString(out) || !TakeSpaced(':')) return false;
          out.push_back(':');
        }
        if (!CopyValue(out)) return false;
      } while (TakeSpaced(','));
      if (!TakeSpaced(close)) return false;
    }
    out.push_back(close);
    ++depth_left_;
    return true;
  }

  bool CopyString(std::string& out) {
    if (rest_.empty() || rest_[0] != '"') return false;
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return false;
    if (!ParseJson(rest_.substr(0, end + 1), "").ok()) return false;
    return Copy(end + 1, out);
  }

  // Digits from `at` on; where they end.
  size_t EndOfDigits(size_t at) const {
    while (at < rest_.size() && IsDigit(rest_[at])) ++at;
    return at;
  }

  bool CopyNumber(std::string& out) {
    const size_t begin = rest_[0] == '-' ? 1 : 0;
    size_t end = EndOfDigits(begin);
    if (end == begin || (rest_[begin] == '0' && end > begin + 1)) return false;
    if (end < rest_.size() && rest_[end] == '.') {
      const size_t fraction = end + 1;
      end = EndOfDigits(fraction);
      if (end == fraction) return false;
    }
    if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < rest_.size() && (rest_[exponent] == '+' || rest_[exponent] == '-')) ++exponent;
      end = EndOfDigits(exponent);
      if (end == exponent) return false;
    }
    return Copy(end, out);
  }

  absl::string_view rest_;
  int depth_left_;
};

}  // namespace

absl::StatusOr<std::vector<JsonMember>> ReadJsonMembers(absl::string_view text,
                                                        absl::string_view source, int max_depth) {
  std::vector<JsonMember> members;
  if (Walk(text, max_depth).TakeObject(members)) return members;
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": expected one JSON object, at most ", max_depth, " levels deep"));
}

}  // namespace sdar
