// SPDX-License-Identifier: Apache-2.0
// Fuzzes JSON schemas: an input is a schema, a zero byte, and choices of a walk. What compiles must
// have no dead end, and its distances must be exact.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/grammar/schema/compile.h"

namespace {

using sdar::grammar::Automaton;
using sdar::grammar::StateId;

void Walk(Automaton& automaton, absl::string_view choices) {
  StateId state = automaton.start();
  for (const char choice : choices.substr(0, 12)) {
    SDAR_CHECK(state != sdar::grammar::kDeadState && state != sdar::grammar::kOpenState);
    const int64_t distance = automaton.Distance(state);
    SDAR_CHECK((distance == 0) == automaton.Accepts(state));
    std::vector<StateId> alive;
    int64_t least = INT64_MAX;
    for (int byte = 0; byte < 256; ++byte) {
      const StateId next = automaton.Next(state, static_cast<uint8_t>(byte));
      if (next == sdar::grammar::kDeadState) continue;
      alive.push_back(next);
      least = std::min(least, automaton.Distance(next));
    }
    SDAR_CHECK(distance == 0 || least == distance - 1);
    if (alive.empty()) return;
    state = alive[static_cast<uint8_t>(choice) % alive.size()];
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const auto schema = sdar::ParseJson(input.substr(0, end), "schema");
  if (!schema.ok()) return 0;
  sdar::grammar::GrammarLimits limits;
  limits.max_work = 50'000;
  limits.max_alternatives = 64;
  limits.max_nodes = 2000;
  limits.regular.max_states = 2000;
  absl::StatusOr<Automaton> automaton = sdar::grammar::CompileJsonSchema(*schema, limits);
  if (!automaton.ok()) return 0;
  Walk(*automaton, end == absl::string_view::npos ? "0123456789" : input.substr(end + 1));
  return 0;
}
