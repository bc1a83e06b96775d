// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/traces/call_trace.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

constexpr size_t kMaxBlocks = 256;

std::string RandomDigits(size_t words) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::string digits;
  for (size_t i = 0; i < words; ++i) {
    absl::StrAppend(&digits, absl::Hex(generator() | 1, absl::kZeroPad16));
  }
  return digits;
}

}  // namespace

std::string NewTraceId() { return RandomDigits(2); }
std::string NewSpanId() { return RandomDigits(1); }

CallTrace::CallTrace(Call call)
    : call_(std::move(call)),
      trace_id_(call_.parent.trace_id.empty() ? NewTraceId() : call_.parent.trace_id),
      span_id_(NewSpanId()),
      samples_(static_cast<size_t>(call_.num_samples)) {}

void CallTrace::Note(int index, const SequenceUpdate& update, SteadyTime now) {
  Sample& sample = samples_[static_cast<size_t>(index)];
  for (const RevealedToken& token : update.tokens) {
    ++sample.tokens;
    ++sample.block_tokens;
    sample.steps = std::max<int64_t>(sample.steps, token.step + 1);
    if ((call_.prompt_tokens + sample.tokens) % call_.block_length == 0) {
      NoteBlock(index, sample, now);
    }
  }
  if (!update.tokens.empty()) sample.last = now;
  if (!update.end) return;
  if (sample.block_tokens > 0) NoteBlock(index, sample, now);
  sample.usage = update.end->usage;
}

void CallTrace::NoteBlock(int index, Sample& sample, SteadyTime now) {
  if (blocks_.size() < kMaxBlocks) {
    const int64_t last = call_.prompt_tokens + sample.tokens - 1;
    blocks_.push_back({index, last / call_.block_length, sample.block_tokens, sample.steps, now});
  } else {
    ++dropped_blocks_;
  }
  sample.block_tokens = 0;
  sample.steps = 0;
}

Span CallTrace::Child(const char* name) const {
  Span span;
  span.trace_id = trace_id_;
  span.span_id = NewSpanId();
  span.parent_id = span_id_;
  span.name = name;
  return span;
}

Span CallTrace::Root() const {
  Span span;
  span.trace_id = trace_id_;
  span.span_id = span_id_;
  span.parent_id = call_.parent.span_id;
  span.name = call_.scores ? "score" : "generate";
  span.kind = Span::Kind::kServer;
  if (!status_.ok()) span.error = std::string(status_.message());
  Json& attributes = span.attributes;
  attributes["gen_ai.request.model"] = call_.model;
  attributes["sdar.request_id"] = call_.request_id;
  attributes["gen_ai.usage.input_tokens"] = call_.prompt_tokens;
  int64_t tokens = 0, steps = 0, passes = 0, cached = 0;
  for (const Sample& sample : samples_) {
    tokens += sample.tokens;
    if (!sample.usage) continue;
    steps += sample.usage->denoising_steps;
    passes += sample.usage->forward_passes;
    cached += sample.usage->cached_tokens;
  }
  attributes["gen_ai.usage.output_tokens"] = call_.scores ? 0 : tokens;
  if (call_.scores) attributes["sdar.scored_tokens"] = tokens;
  attributes["sdar.samples"] = call_.num_samples;
  attributes["sdar.denoising_steps"] = steps;
  attributes["sdar.forward_passes"] = passes;
  attributes["sdar.cached_tokens"] = cached;
  if (dropped_blocks_ > 0) attributes["sdar.blocks_left_out"] = dropped_blocks_;
  return span;
}

// Times of one sample. A call that scores has no blocks that are written.
void CallTrace::AddPhases(int index, std::vector<Span>& spans) const {
  const Sample& sample = samples_[static_cast<size_t>(index)];
  const auto add = [&](const char* name, SteadyTime start, SteadyTime end) -> Span& {
    Span& span = spans.emplace_back(Child(name));
    span.start_ns = start.ToNanos();
    span.end_ns = std::max(start, end).ToNanos();
    span.attributes["sdar.sample"] = index;
    return span;
  };
  if (!sample.usage || sample.usage->started == SteadyTime::InfiniteFuture()) return;
  const SteadyTime started = std::max(sample.usage->started, call_.arrival);
  add("queue", call_.arrival, started);
  if (sample.usage->first_step == SteadyTime::InfiniteFuture()) return;
  SteadyTime from = std::max(sample.usage->first_step, started);
  add("prefill", started, from);
  if (call_.scores) return;
  for (const Block& block : blocks_) {
    if (block.sample != index) continue;
    Span& span = add("block", from, block.end);
    span.attributes["sdar.block"] = block.number;
    span.attributes["sdar.tokens"] = block.tokens;
    span.attributes["sdar.denoising_steps"] = block.steps;
    from = std::max(from, block.end);
  }
}

std::vector<Span> CallTrace::Spans(SteadyTime now, int64_t unix_now_ns) const {
  std::vector<Span> spans;
  Span& root = spans.emplace_back(Root());
  root.start_ns = call_.arrival.ToNanos();
  root.end_ns = now.ToNanos();
  SteadyTime last = SteadyTime::InfinitePast();
  for (int i = 0; i < call_.num_samples; ++i) {
    AddPhases(i, spans);
    const Sample& sample = samples_[static_cast<size_t>(i)];
    if (sample.tokens > 0) last = std::max(last, sample.last);
  }
  if (last != SteadyTime::InfinitePast()) {
    Span& delivery = spans.emplace_back(Child("delivery"));
    delivery.start_ns = last.ToNanos();
    delivery.end_ns = now.ToNanos();
  }
  const int64_t offset = unix_now_ns - now.ToNanos();
  for (Span& span : spans) {
    span.start_ns += offset;
    span.end_ns += offset;
  }
  return spans;
}

}  // namespace sdar
