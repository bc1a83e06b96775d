// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/output_scanner.h"

#include <algorithm>

#include "common/status_macros.h"

namespace sdar {

OutputScanner::OutputScanner(const Tokenizer& tokenizer, const StoppingOptions& stopping,
                             bool skip_special_tokens)
    : detokenizer_(tokenizer, skip_special_tokens), stopping_(stopping) {}

void OutputScanner::Push(const RevealedToken& token, SequenceUpdate& out) {
  SDAR_CHECK(!ended_);
  const bool may_stop = num_pushed_ >= stopping_.min_tokens;
  if (may_stop &&
      std::binary_search(stopping_.stop_ids.begin(), stopping_.stop_ids.end(), token.id)) {
    stop_token_ = token.id;
    return EndHere(FinishReason::kStop, out);
  }
  const size_t begin = held_text_.size();
  held_text_ += detokenizer_.Push(token.id);
  held_tokens_.push_back({token, begin, held_text_.size()});
  ++num_pushed_;
  if (num_pushed_ >= stopping_.min_tokens) {
    if (std::optional<Match> match = FindStop()) {
      stop_string_ = std::move(match->stop);
      Emit(match->begin, true, out);
      ended_ = true;
      reason_ = FinishReason::kStop;
      return;
    }
  }
  if (num_pushed_ == stopping_.max_tokens) return EndHere(FinishReason::kLength, out);
  Emit(SafeLength(), false, out);
}

SequenceEnd OutputScanner::End() const {
  SDAR_CHECK(ended_);
  SequenceEnd end;
  end.reason = reason_;
  end.stop_token = stop_token_;
  end.stop_string = stop_string_;
  end.usage.completion_tokens = num_tokens_;
  return end;
}

// The stop string that begins first; of those, the one listed first.
std::optional<OutputScanner::Match> OutputScanner::FindStop() const {
  std::optional<Match> first;
  for (const std::string& stop : stopping_.stop) {
    const size_t at = held_text_.find(stop);
    if (at != std::string::npos && (!first || at < first->begin)) first = Match{at, stop};
  }
  return first;
}

// How much of the held text cannot become part of a stop string: all but its longest suffix that
// begins one.
size_t OutputScanner::SafeLength() const {
  size_t held = 0;
  for (const std::string& stop : stopping_.stop) {
    for (size_t n = std::min(stop.size() - 1, held_text_.size()); n > held; --n) {
      if (held_text_.compare(held_text_.size() - n, n, stop, 0, n) == 0) held = n;
    }
  }
  return held_text_.size() - held;
}

// Reports `length` bytes and the tokens that end within them, or, with `straddling_too`, that begin
// within them.
void OutputScanner::Emit(size_t length, bool straddling_too, SequenceUpdate& out) {
  out.text.append(held_text_, 0, length);
  while (!held_tokens_.empty()) {
    HeldToken& held = held_tokens_.front();
    if (straddling_too ? held.begin >= length : held.end > length) break;
    out.tokens.push_back(std::move(held.token));
    ++num_tokens_;
    held_tokens_.pop_front();
  }
  held_text_.erase(0, length);
  for (HeldToken& held : held_tokens_) {
    held.begin -= std::min(held.begin, length);
    held.end -= std::min(held.end, length);
  }
}

// Ends the output after all that is held.
void OutputScanner::EndHere(FinishReason reason, SequenceUpdate& out) {
  held_text_ += detokenizer_.Flush();
  Emit(held_text_.size(), false, out);
  ended_ = true;
  reason_ = reason;
}

}  // namespace sdar
