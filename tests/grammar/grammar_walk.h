// SPDX-License-Identifier: Apache-2.0
// Walks through automata: what they accept, and whether they keep their laws.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "runtime/grammar/automaton/automaton.h"

namespace sdar::grammar {

inline bool AcceptsText(Automaton& automaton, absl::string_view text) {
  StateId state = automaton.start();
  for (const char byte : text) {
    state = automaton.Next(state, static_cast<uint8_t>(byte));
    if (state == kDeadState) return false;
  }
  return automaton.Accepts(state);
}

// Walks up to `steps` random bytes that lead on; returns what law was broken and behind which text,
// "" where none was. All bytes of each state are looked at, by way of its floating state too.
inline std::string BrokenLaw(Automaton& automaton, uint32_t seed, int steps) {
  std::mt19937 random(seed);
  std::string text;
  StateId state = automaton.start();
  for (int step = 0; step < steps; ++step) {
    if (state == kDeadState || state == kOpenState) return "dead end after " + text;
    const int64_t distance = automaton.Distance(state);
    if ((distance == 0) != automaton.Accepts(state)) return "distance 0 or not after " + text;
    const StateId floating = automaton.Floating(state);
    std::vector<uint8_t> alive;
    int64_t least = INT64_MAX;
    for (int byte = 0; byte < 256; ++byte) {
      const StateId next = automaton.Next(state, static_cast<uint8_t>(byte));
      const StateId above = automaton.Next(floating, static_cast<uint8_t>(byte));
      if (next != kDeadState && above == kDeadState) return "floating state dead after " + text;
      if (next == kDeadState && above != kDeadState && above != kOpenState) {
        return "floating state not dead after " + text;
      }
      if (next == kDeadState) continue;
      alive.push_back(static_cast<uint8_t>(byte));
      least = std::min(least, automaton.Distance(next));
    }
    if (distance > 0 && least != distance - 1) {
      return "distance " + std::to_string(distance) + " leads to " + std::to_string(least) +
             " after " + text;
    }
    if (alive.empty()) return "";
    // Rarely white space, often what ends things, so that walks get far.
    uint8_t byte = alive[random() % alive.size()];
    if (random() % 2 == 0) {
      for (const uint8_t other : alive) {
        if (automaton.Distance(automaton.Next(state, other)) == least) byte = other;
      }
    }
    text += static_cast<char>(byte);
    state = automaton.Next(state, byte);
  }
  return "";
}

}  // namespace sdar::grammar
