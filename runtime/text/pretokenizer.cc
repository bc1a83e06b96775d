// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/pretokenizer.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "common/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include "pcre2.h"

namespace sdar {
namespace {

// Limits on what one search may cost. Ordinary patterns take a few steps for each byte of a run of
// white space, and far fewer elsewhere.
constexpr size_t kMatchLimit = 10'000'000;
constexpr size_t kMatchLimitPerByte = 8;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

std::string Pcre2Message(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0) return absl::StrCat("code ", code);
  return reinterpret_cast<const char*>(buffer);
}

// Spells \s and \S as the White_Space property: PCRE2's own \s also takes U+180E, which the
// engines that vocabularies were trained with do not.
std::string WithUnicodeSpaces(absl::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out.push_back(pattern[i]);
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      out += "\\p{White_Space}";
    } else if (escaped == 'S') {
      out += "\\P{White_Space}";
    } else {
      out.push_back('\\');
      out.push_back(escaped);
    }
  }
  return out;
}

}  // namespace

struct CompiledPattern {
  struct Deleter {
    void operator()(pcre2_code* pointer) const { pcre2_code_free(pointer); }
    void operator()(pcre2_match_data* pointer) const { pcre2_match_data_free(pointer); }
    void operator()(pcre2_match_context* pointer) const { pcre2_match_context_free(pointer); }
  };

  std::unique_ptr<pcre2_code, Deleter> code;
};

namespace {

absl::StatusOr<std::unique_ptr<CompiledPattern>> Compile(const std::string& pattern) {
  const std::string source = WithUnicodeSpaces(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_unique<CompiledPattern>();
  compiled->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (compiled->code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("pre-tokenizer pattern '", Shorten(pattern),
                                                   "' does not compile: ", Pcre2Message(error)));
  }
  // Without JIT (a platform that has none) the interpreter matches the same.
  pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE);
  return compiled;
}

// Searches on from `start`; the interpreter stands in where JIT's stack is too small.
int Search(const CompiledPattern& pattern, absl::string_view text, size_t start,
           pcre2_match_data* data, pcre2_match_context* context) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const int found = pcre2_match(pattern.code.get(), subject, text.size(), start, PCRE2_NO_UTF_CHECK,
                                data, context);
  if (found != PCRE2_ERROR_JIT_STACKLIMIT) return found;
  return pcre2_match(pattern.code.get(), subject, text.size(), start,
                     PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, context);
}

// One text on its way through the patterns. Match data belongs to one call, which makes const use
// of the pre-tokenizer thread-safe.
class Splitting {
 public:
  using Patterns = std::vector<std::unique_ptr<CompiledPattern>>;

  // size: of the whole text, in bytes.
  Splitting(const Patterns& patterns, size_t size, Pretokenizer::WordSink sink)
      : patterns_(patterns), sink_(sink), context_(pcre2_match_context_create(nullptr)) {
    if (context_ == nullptr) return;
    const size_t limit = kMatchLimit + kMatchLimitPerByte * size;
    pcre2_set_match_limit(context_.get(),
                          static_cast<uint32_t>(std::min<size_t>(limit, UINT32_MAX)));
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
    for (const auto& pattern : patterns) {
      data_.emplace_back(pcre2_match_data_create_from_pattern(pattern->code.get(), nullptr));
    }
  }

  // Gives the words that the patterns from `level` on make of `text`.
  absl::Status Run(absl::string_view text, size_t level);

 private:
  absl::Status RunPiece(absl::string_view text, size_t begin, size_t end, size_t level) {
    return begin < end ? Run(text.substr(begin, end - begin), level) : absl::OkStatus();
  }

  const Patterns& patterns_;
  Pretokenizer::WordSink sink_;
  std::unique_ptr<pcre2_match_context, CompiledPattern::Deleter> context_;
  std::vector<std::unique_ptr<pcre2_match_data, CompiledPattern::Deleter>> data_;
};

// Cuts `text` at the bounds of every match, empty ones included.
absl::Status Splitting::Run(absl::string_view text, size_t level) {
  if (level == patterns_.size()) {
    sink_(text);
    return absl::OkStatus();
  }
  pcre2_match_data* const data = context_ == nullptr ? nullptr : data_[level].get();
  if (data == nullptr) return absl::ResourceExhaustedError("pre-tokenizer pattern: out of memory");
  size_t done = 0;
  for (size_t start = 0; start < text.size();) {
    const int found = Search(*patterns_[level], text, start, data, context_.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("pre-tokenizer pattern failed at byte ", start, ": ", Pcre2Message(found)));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data);
    // \K in a lookahead can put a match's start after its end or before earlier matches.
    const size_t begin = std::max<size_t>(bounds[0], done);
    const size_t end = std::max<size_t>(bounds[1], begin);
    SDAR_RETURN_IF_ERROR(RunPiece(text, done, begin, level + 1));
    SDAR_RETURN_IF_ERROR(RunPiece(text, begin, end, level + 1));
    done = end;
    start = end;
    if (bounds[0] >= bounds[1] && start < text.size()) start += ReadUtf8(text, start).length;
  }
  return RunPiece(text, done, text.size(), level + 1);
}

}  // namespace

absl::string_view Pretokenizer::Qwen2Pattern() {
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
         R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
}

absl::string_view Pretokenizer::ByteLevelPattern() {
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

Pretokenizer::Pretokenizer() = default;
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;
Pretokenizer::~Pretokenizer() = default;

absl::StatusOr<Pretokenizer> Pretokenizer::Create(const std::vector<std::string>& patterns) {
  Pretokenizer pretokenizer;
  for (const std::string& pattern : patterns) {
    SDAR_ASSIGN_OR_RETURN(auto compiled, Compile(pattern));
    pretokenizer.patterns_.push_back(std::move(compiled));
  }
  return pretokenizer;
}

absl::Status Pretokenizer::Split(absl::string_view text, WordSink sink) const {
  if (text.empty()) return absl::OkStatus();
  return Splitting(patterns_, text.size(), sink).Run(text, 0);
}

}  // namespace sdar
