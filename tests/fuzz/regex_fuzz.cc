// SPDX-License-Identifier: Apache-2.0
// Fuzzes regular expressions: an input is a pattern, then after a zero byte what a walk chooses.
// What compiles has no dead end, and its complement none of its texts.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"

namespace {

using sdar::grammar::Dfa;

// A text of the language: `choices` picks edges, then the walk takes what comes first until it may
// end.
std::string Walk(const Dfa& dfa, absl::string_view choices) {
  std::string text;
  Dfa::State state = dfa.start();
  for (const char choice : choices) {
    const auto edges = dfa.Edges(state);
    if (edges.empty()) break;
    const auto& edge = edges[static_cast<uint8_t>(choice) % edges.size()];
    sdar::AppendUtf8(edge.first, text);
    state = edge.target;
  }
  for (int64_t left = 3 * dfa.num_states(); !dfa.Accepts(state) && left > 0; --left) {
    const auto edges = dfa.Edges(state);
    SDAR_CHECK(!edges.empty());
    const auto& edge = edges[static_cast<size_t>(left) % edges.size()];
    sdar::AppendUtf8(edge.last, text);
    state = edge.target;
  }
  return dfa.Accepts(state) ? text : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  sdar::grammar::RegularLimits limits;
  limits.max_states = 2'000;
  limits.max_steps = 1'000'000;
  for (const auto use : {sdar::grammar::RegexUse::kWholeText, sdar::grammar::RegexUse::kSearch}) {
    const absl::StatusOr<Dfa> dfa = sdar::grammar::CompileRegex(input.substr(0, end), use, limits);
    if (!dfa.ok() || sdar::grammar::IsEmpty(*dfa)) continue;
    const std::string text = Walk(*dfa, input.substr(std::min(end + 1, input.size())));
    if (text.empty()) continue;
    SDAR_CHECK(sdar::grammar::Contains(*dfa, text));
    SDAR_CHECK(!sdar::grammar::Contains(sdar::grammar::Complement(*dfa), text));
  }
  return 0;
}
