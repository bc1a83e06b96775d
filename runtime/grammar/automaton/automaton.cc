// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/automaton.h"

#include <utility>

#include "runtime/grammar/automaton/json_grammar.h"
#include "runtime/grammar/automaton/stack_machine.h"
#include "runtime/grammar/regular/dfa.h"

namespace sdar::grammar {
namespace {

std::shared_ptr<const JsonGrammar> OnlyTexts(Dfa texts) {
  auto grammar = std::make_shared<JsonGrammar>();
  grammar->dfas.emplace_back(std::move(texts), Writing::kPlain);
  return grammar;
}

}  // namespace

Automaton::Automaton(Dfa texts)
    : machine_(std::make_unique<StackMachine>(OnlyTexts(std::move(texts)), true)) {}
Automaton::Automaton(std::shared_ptr<const JsonGrammar> grammar)
    : machine_(std::make_unique<StackMachine>(std::move(grammar), false)) {}
Automaton::Automaton(Automaton&&) noexcept = default;
Automaton& Automaton::operator=(Automaton&&) noexcept = default;
Automaton::~Automaton() = default;

void Automaton::AllowSpaceAround() { machine_->AllowSpaceAround(); }
StateId Automaton::start() const { return StateId(machine_->start()); }
StateId Automaton::Next(StateId state, uint8_t byte) {
  return StateId(machine_->Next(state.value(), byte));
}
bool Automaton::Accepts(StateId state) const { return machine_->Accepts(state.value()); }
int64_t Automaton::Distance(StateId state) { return machine_->Distance(state.value()); }
StateId Automaton::Floating(StateId state) { return StateId(machine_->Floating(state.value())); }
int Automaton::FreeCharacters(StateId state) { return machine_->FreeCharacters(state.value()); }
size_t Automaton::MemoryBytes() const { return machine_->MemoryBytes(); }

}  // namespace sdar::grammar
