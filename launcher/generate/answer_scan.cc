// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/answer_scan.h"

#include <algorithm>
#include <fstream>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

std::string ShortId(const std::string& id) {
  constexpr size_t kLongest = 80;
  return id.size() <= kLongest ? id : absl::StrCat(id.substr(0, kLongest), "...");
}

// True for what a write leaves that was cut short: the beginning of a record, or the zeros of
// blocks that never reached the disk.
bool IsUnfinished(const std::string& text) {
  constexpr absl::string_view kRecordBegins = "{\"";
  return absl::StartsWith(text, kRecordBegins) || absl::StartsWith(kRecordBegins, text) ||
         std::all_of(text.begin(), text.end(), [](char c) { return c == '\0'; });
}

class AnswerScan {
 public:
  AnswerScan(const std::string& path, std::vector<InputLine>& lines) : path_(path), lines_(lines) {
    for (size_t i = 0; i < lines.size(); ++i) by_id_.emplace(lines[i].id, i);
  }

  absl::StatusOr<FoundAnswers> Run() {
    std::ifstream in(path_, std::ios::binary);
    if (!in) return absl::DataLossError(absl::StrCat("--resume: ", path_, ": cannot be read"));
    int64_t begin = 0;
    for (std::string text; std::getline(in, text);) {
      ++number_;
      if (in.eof()) {  // no newline at the end
        if (!IsUnfinished(text)) return Error("this is no record of sdar-generate");
        break;
      }
      const int64_t end = begin + static_cast<int64_t>(text.size()) + 1;
      SDAR_RETURN_IF_ERROR(Take(text, {begin, end}));
      begin = end;
    }
    if (in.bad()) return absl::DataLossError(absl::StrCat("--resume: ", path_, ": reading failed"));
    return std::move(found_);
  }

 private:
  template <typename... Args>
  absl::Status Error(const Args&... args) const {
    return absl::InvalidArgumentError(
        absl::StrCat("--resume: ", path_, ": line ", number_, ": ", args...));
  }

  absl::Status Take(const std::string& text, ByteRange range) {
    SDAR_ASSIGN_OR_RETURN(const Json record,
                          ParseJson(text, absl::StrCat("--resume: ", path_, ": line ", number_)));
    if (!record.is_object()) return Error("expected an object");
    const bool is_error = record.contains("error");
    const auto id = record.find("id");
    if (id == record.end() && !is_error) return Error("a record without an id");
    const std::string id_text = id == record.end() ? "" : DumpJson(*id);
    const auto known = by_id_.find(id_text);
    if (is_error) return TakeError(record, known != by_id_.end(), range);
    if (known == by_id_.end()) {
      return Error("--input has no line with the id ", ShortId(id_text),
                   "; are these the answers of another input?");
    }
    return TakeSample(record, known->second, range);
  }

  // The line of an error may have been mended, so that its id is another now.
  absl::Status TakeError(const Json& record, bool known, ByteRange range) {
    const auto line = record.find("line");
    const bool names_line = line != record.end() && line->is_number_unsigned();
    if (!known && !names_line) return Error("an error record that names no line of --input");
    if (open_ >= 0) return Unfinished();
    found_.errors.push_back(range);
    found_.end = range.end;
    return absl::OkStatus();
  }

  absl::Status TakeSample(const Json& record, size_t line, ByteRange range) {
    if (open_ >= 0 && static_cast<size_t>(open_) != line) return Unfinished();
    InputLine& input = lines_[line];
    if (input.is_answered) return Error("the id ", ShortId(input.id), " is answered twice");
    const auto index = record.find("index");
    const bool has_index = index != record.end() && index->is_number_unsigned();
    const int64_t given = has_index ? index->get<int64_t>() : 0;
    if (given != num_samples_ || (input.num_samples > 1 && !has_index)) {
      return Error("expected sample ", num_samples_, " of the ", input.num_samples,
                   " that --input asks for with the id ", ShortId(input.id), ", got ",
                   has_index ? absl::StrCat("sample ", given) : "a record without an index");
    }
    open_ = static_cast<int64_t>(line);
    if (++num_samples_ < input.num_samples) return absl::OkStatus();
    input.is_answered = true;
    open_ = -1;
    num_samples_ = 0;
    found_.end = range.end;
    return absl::OkStatus();
  }

  absl::Status Unfinished() const {
    const InputLine& line = lines_[static_cast<size_t>(open_)];
    return Error("the id ", ShortId(line.id), " has ", num_samples_, " of the ", line.num_samples,
                 " samples that --input asks for; has its n changed?");
  }

  const std::string& path_;
  std::vector<InputLine>& lines_;
  absl::flat_hash_map<absl::string_view, size_t> by_id_;
  FoundAnswers found_;
  int number_ = 0;
  int64_t open_ = -1;        // the line whose answer is being read
  int64_t num_samples_ = 0;  // of it so far
};

}  // namespace

absl::StatusOr<FoundAnswers> FindAnswers(const std::string& path, std::vector<InputLine>& lines) {
  return AnswerScan(path, lines).Run();
}

}  // namespace sdar
