// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/input_lines.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "launcher/generate/jsonl_request.h"

namespace sdar {
namespace {

InputLine MakeLine(std::string text, int number) {
  InputLine line;
  line.number = number;
  const absl::StatusOr<Json> record = ParseJson(text, "the line");
  line.id = DumpJson(record.ok() ? IdOfLine(*record, number) : Json(number));
  if (record.ok() && record->is_object()) {
    const auto n = record->find("n");
    if (n != record->end() && n->is_number_unsigned()) line.num_samples = n->get<int64_t>();
  }
  line.text = std::move(text);
  return line;
}

absl::Status CheckIds(const std::vector<InputLine>& lines) {
  constexpr size_t kLongestShown = 80;
  absl::flat_hash_map<absl::string_view, int> numbers;
  for (const InputLine& line : lines) {
    const auto [first, fresh] = numbers.emplace(line.id, line.number);
    if (fresh) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "--input: lines ", first->second, " and ", line.number, " have the same id, ",
        line.id.substr(0, kLongestShown), line.id.size() > kLongestShown ? "..." : "",
        " (a line without an id has its number); records are told apart by their ids"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<InputLine>> ReadInputLines(std::istream& in) {
  std::vector<InputLine> lines;
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    lines.push_back(MakeLine(std::move(text), number));
  }
  if (in.bad()) return absl::DataLossError("--input: reading failed");
  SDAR_RETURN_IF_ERROR(CheckIds(lines));
  return lines;
}

}  // namespace sdar
