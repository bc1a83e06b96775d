// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/token_grammar.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/hash/hash.h"

namespace sdar::grammar {
namespace {

// Tokens of white space in a row between the parts of an answer.
constexpr uint8_t kMaxSpaces = 2;
constexpr size_t kMaxMasks = 1024;  // that are remembered by state

void SetAllBits(int size, TokenBits& bits) {
  std::fill(bits.begin(), bits.end(), ~uint64_t{0});
  if (size % 64 != 0) bits.back() = (uint64_t{1} << size % 64) - 1;
}

}  // namespace

TokenGrammar::TokenGrammar(std::shared_ptr<const Vocabulary> vocabulary, Envelope envelope)
    : vocabulary_(std::move(vocabulary)), envelope_(std::move(envelope)) {
  absl::MutexLock lock(&mutex_);
  if (envelope_.text) text_ = std::make_unique<Part>(*vocabulary_, *envelope_.text);
  if (envelope_.call) call_ = std::make_unique<Part>(*vocabulary_, *envelope_.call);
  Intern({Place::kDead});
  Intern({Place::kDone});
  start_ = Intern(envelope_.thinking_end >= 0 ? Node{Place::kThinking} : StartNode(false));
}

TokenState TokenGrammar::Intern(const Node& node) {
  const auto [found, is_new] =
      index_.emplace(node, TokenState(static_cast<uint32_t>(nodes_.size())));
  if (is_new) nodes_.push_back(node);
  return found->second;
}

TokenGrammar::Node TokenGrammar::StartNode(bool after_thinking) const {
  if (envelope_.text && (envelope_.text_and_calls || (!envelope_.call && !after_thinking))) {
    return {Place::kText, envelope_.text->start()};
  }
  return {Place::kOutside, kDeadState, after_thinking ? kMaxSpaces : uint8_t{0}};
}

TokenGrammar::Node TokenGrammar::AfterCall() const {
  if (envelope_.text_and_calls) {
    return {Place::kText, envelope_.text->start(), 0, true};
  }
  return {Place::kOutside, kDeadState, envelope_.many_calls ? kMaxSpaces : uint8_t{0}, true};
}

bool TokenGrammar::IsEnd(TokenId token) const {
  return std::binary_search(envelope_.end_tokens.begin(), envelope_.end_tokens.end(), token);
}

bool TokenGrammar::IsTextMark(TokenId token) const {
  const std::vector<TokenId>& marks = envelope_.text_marks;
  return std::find(marks.begin(), marks.end(), token) != marks.end();
}

// Calls follow calls, and a text only where both may be mixed.
bool TokenGrammar::MayCall(const Node& node) const {
  if (!envelope_.call || (node.called && !envelope_.many_calls)) return false;
  if (node.place == Place::kOutside) return true;
  return node.place == Place::kText && envelope_.text_and_calls &&
         envelope_.text->Accepts(node.bytes);
}

bool TokenGrammar::MayBeginText(const Node& node) const {
  return node.place == Place::kOutside && envelope_.text && !node.called;
}

bool TokenGrammar::MayEndAt(const Node& node) {
  switch (node.place) {
    case Place::kText:
      return envelope_.text->Accepts(node.bytes);
    case Place::kOutside:
      return node.called ||
             (MayBeginText(node) && envelope_.text->Accepts(envelope_.text->start()));
    default:
      return false;
  }
}

StateId TokenGrammar::Walk(Automaton& automaton, StateId state, TokenId token) const {
  const absl::string_view bytes = vocabulary_->Bytes(token);
  if (bytes.empty()) return kDeadState;
  for (size_t i = 0; i < bytes.size() && state != kDeadState; ++i) {
    state = automaton.Next(state, static_cast<uint8_t>(bytes[i]));
  }
  return state;
}

TokenState TokenGrammar::Next(TokenState state, TokenId token) {
  if (state == kDeadTokenState || state == kDoneTokenState) return state;
  absl::MutexLock lock(&mutex_);
  const Node node = At(state);
  if (IsEnd(token)) return MayEndAt(node) ? kDoneTokenState : kDeadTokenState;
  return Intern(NextOf(node, token));
}

// What follows a token that is no end token.
TokenGrammar::Node TokenGrammar::NextOf(const Node& node, TokenId token) {
  if (token < 0 || token >= vocabulary_->size()) return {};
  if (node.place == Place::kThinking) {
    return token == envelope_.thinking_end ? StartNode(true) : node;
  }
  if (token == envelope_.call_begin && MayCall(node)) {
    return {Place::kCall, envelope_.call->start(), 0, true};
  }
  if (node.place == Place::kOutside) return NextOutside(node, token);
  if (node.place == Place::kText && IsTextMark(token)) return node;
  if (token == envelope_.call_end && node.place == Place::kCall) {
    return envelope_.call->Accepts(node.bytes) ? AfterCall() : Node();
  }
  Node next = node;
  next.bytes = Walk(PartOf(node)->automaton, node.bytes, token);
  return next.bytes == kDeadState ? Node() : next;
}

TokenGrammar::Node TokenGrammar::NextOutside(const Node& node, TokenId token) {
  if (MayBeginText(node)) {
    const StateId bytes = Walk(*envelope_.text, envelope_.text->start(), token);
    if (bytes != kDeadState) return {Place::kText, bytes};
  }
  if (node.spaces == 0 || !HasBit(vocabulary_->space(), token)) return {};
  Node next = node;
  --next.spaces;
  return next;
}

// The automaton that a state is in; null outside of both.
TokenGrammar::Part* TokenGrammar::PartOf(const Node& node) const {
  if (node.place == Place::kText) return text_.get();
  return node.place == Place::kCall ? call_.get() : nullptr;
}

bool TokenGrammar::MayEnd(TokenState state) {
  absl::MutexLock lock(&mutex_);
  return MayEndAt(At(state));
}

bool TokenGrammar::EndsByText(const Node& node) {
  if (!MayBeginText(node)) return false;
  return !MayCall(node) || text_->shortest.CountOf(envelope_.text->start()) <=
                               call_->shortest.CountOf(envelope_.call->start()) + 2;
}

int64_t TokenGrammar::LeastOf(const Node& node) {
  switch (node.place) {
    case Place::kDone:
    case Place::kDead:
      return 0;
    case Place::kThinking:
      return 1 + LeastOf(StartNode(true));
    case Place::kText:
      return text_->shortest.CountOf(node.bytes);
    case Place::kCall:
      return call_->shortest.CountOf(node.bytes) + 1;
    case Place::kOutside:
      break;
  }
  if (MayEndAt(node)) return 0;
  return EndsByText(node) ? text_->shortest.CountOf(envelope_.text->start())
                          : call_->shortest.CountOf(envelope_.call->start()) + 2;
}

int64_t TokenGrammar::LeastTokens(TokenState state) {
  absl::MutexLock lock(&mutex_);
  return LeastOf(At(state));
}

bool TokenGrammar::EndsBefore(TokenState state, int64_t limit) {
  absl::MutexLock lock(&mutex_);
  const Node& node = At(state);
  if (node.place == Place::kText) return text_->shortest.IsBelow(node.bytes, limit);
  if (node.place == Place::kCall) return call_->shortest.IsBelow(node.bytes, limit - 1);
  return LeastOf(node) < limit;
}

std::vector<TokenId> TokenGrammar::ShortestEnd(TokenState state) {
  absl::MutexLock lock(&mutex_);
  Node node = At(state);
  std::vector<TokenId> tokens;
  if (node.place == Place::kThinking) {
    tokens.push_back(envelope_.thinking_end);
    node = StartNode(true);
  }
  if (node.place == Place::kOutside && !MayEndAt(node)) {
    if (EndsByText(node)) {
      node = {Place::kText, envelope_.text->start()};
    } else {
      tokens.push_back(envelope_.call_begin);
      node = {Place::kCall, envelope_.call->start(), 0, true};
    }
  }
  if (Part* part = PartOf(node)) {
    const std::vector<TokenId> rest = part->shortest.TokensOf(node.bytes);
    tokens.insert(tokens.end(), rest.begin(), rest.end());
  }
  if (node.place == Place::kCall) tokens.push_back(envelope_.call_end);
  return tokens;
}

// The ids that are no end tokens.
void TokenGrammar::AddNext(const Node& node, TokenBits& bits) {
  if (Part* part = PartOf(node)) AddBits(part->masks.Of(node.bytes), bits);
  if (node.place == Place::kThinking) SetAllBits(vocabulary_->size(), bits);
  if (MayBeginText(node)) AddBits(text_->masks.Of(envelope_.text->start()), bits);
  if (node.spaces > 0) AddBits(vocabulary_->space(), bits);
  for (TokenId end : envelope_.end_tokens) ClearBit(bits, end);
  if (node.place == Place::kText) {
    for (TokenId mark : envelope_.text_marks) SetBit(bits, mark);
  }
  if (MayCall(node)) SetBit(bits, envelope_.call_begin);
  if (node.place == Place::kCall && envelope_.call->Accepts(node.bytes)) {
    SetBit(bits, envelope_.call_end);
  }
}

std::shared_ptr<const TokenMask> TokenGrammar::Mask(TokenState state) {
  absl::MutexLock lock(&mutex_);
  if (const auto found = masks_.find(state); found != masks_.end()) return found->second;
  const Node node = At(state);
  auto mask = std::make_shared<TokenMask>();
  mask->bits.resize(vocabulary_->num_words());
  if (node.place == Place::kDone) {
    SetAllBits(vocabulary_->size(), mask->bits);
  } else {
    AddNext(node, mask->bits);
    for (TokenId end : envelope_.end_tokens) {
      if (MayEndAt(node)) SetBit(mask->bits, end);
    }
  }
  mask->id = absl::HashOf(mask->bits);
  if (masks_.size() >= kMaxMasks) masks_.clear();
  masks_.emplace(state, mask);
  return mask;
}

bool TokenGrammar::IsForced(TokenState state, TokenId token) {
  if (state == kDoneTokenState || state == kDeadTokenState) return false;
  absl::MutexLock lock(&mutex_);
  const Node node = At(state);
  Part* part = PartOf(node);
  if (part == nullptr) {
    // Outside there is one way on where no space may stand and no text may begin.
    if (node.place != Place::kOutside || node.spaces > 0 || MayBeginText(node)) return false;
    return MayCall(node) ? !node.called && token == envelope_.call_begin
                         : IsEnd(token) && MayEndAt(node);
  }
  if (MayCall(node)) return false;
  StateId bytes = node.bytes;
  for (char c : vocabulary_->Bytes(token)) {
    if (part->shortest.ForcedByte(bytes) != static_cast<uint8_t>(c)) return false;
    bytes = part->automaton.Next(bytes, static_cast<uint8_t>(c));
  }
  if (!vocabulary_->Bytes(token).empty() && !IsEnd(token)) return true;
  const bool closes = node.place == Place::kCall ? token == envelope_.call_end : IsEnd(token);
  return closes && part->shortest.ForcedByte(node.bytes) == ShortestText::kEnd;
}

bool TokenGrammar::AllowsAll(TokenState state) {
  if (state == kDoneTokenState) return true;
  return envelope_.any_text && envelope_.thinking_end < 0 && state != kDeadTokenState;
}

size_t TokenGrammar::MemoryBytes() {
  absl::MutexLock lock(&mutex_);
  size_t bytes = nodes_.size() * 3 * sizeof(Node) +
                 masks_.size() * (sizeof(TokenMask) + 8 * vocabulary_->num_words());
  for (const Part* part : {text_.get(), call_.get()}) {
    if (part == nullptr) continue;
    bytes +=
        part->automaton.MemoryBytes() + part->masks.MemoryBytes() + part->shortest.MemoryBytes();
  }
  return bytes;
}

}  // namespace sdar::grammar
