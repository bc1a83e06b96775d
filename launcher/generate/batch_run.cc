// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/batch_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/status_macros.h"
#include "launcher/jsonl/jsonl_files.h"

namespace sdar {

BatchRun::BatchRun(bool with_trace, const TextCodec& text, const RequestDefaults& defaults,
                   Router& router, AnswerFile& out)
    : with_trace_(with_trace), text_(text), defaults_(defaults), router_(router), out_(out) {}

absl::Status BatchRun::Run(const std::vector<InputLine>& lines, const std::atomic<bool>& stop) {
  const size_t in_flight = 2 * static_cast<size_t>(router_.config().slots * router_.num_replicas());
  size_t next = 0;
  while (true) {
    while (next < lines.size() && lines_.size() < in_flight && !stop.load()) {
      StartLine(lines[next]);
      ++next;
    }
    if (lines_.empty()) break;
    {
      absl::MutexLock lock(&mutex_);
      // Wakes up now and then to look at `stop` and to show progress.
      news_.AwaitUntil(mutex_, SteadyTime::Now() + absl::Milliseconds(200),
                       [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HeadIsAnswered(); });
    }
    SDAR_RETURN_IF_ERROR(WriteAnswered());
    ShowProgress(next, lines.size());
  }
  return out_.Sync(AnswerFile::SyncWhen::kNow);
}

void BatchRun::StartLine(const InputLine& input) {
  if (input.is_answered) {
    ++num_skipped_;
    return;
  }
  auto line = std::make_unique<Line>();
  line->number = input.number;
  line->error = SubmitLine(input.text, *line);
  lines_.push_back(std::move(line));
}

absl::Status BatchRun::SubmitLine(const std::string& text, Line& line) {
  auto request = ParseJsonlRequest(text, line.number, text_, line.id);
  SDAR_RETURN_IF_ERROR(request.status());
  SDAR_ASSIGN_OR_RETURN(std::vector<GenerationRequest> samples,
                        BuildRequests(request->fields, std::move(request->prompt), defaults_,
                                      router_.config().limits));
  line.with_logprobs = request->fields.logprobs.has_value();
  {
    absl::MutexLock lock(&mutex_);
    line.samples.resize(samples.size());
  }
  std::vector<Submission> submissions;
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].trace = with_trace_;
    line.seeds.push_back(samples[i].sampling.seed);
    GenerationRecord* record = &line.samples[i];
    const auto on_update = [this, record](SequenceUpdate update) {
      absl::MutexLock lock(&mutex_);
      record->Add(std::move(update));
      if (record->done()) news_.NotifyAll();
    };
    submissions.push_back({std::move(samples[i]), on_update});
  }
  return router_.Submit(std::move(submissions)).status();
}

bool BatchRun::IsAnswered(const Line& line) const {
  if (!line.error.ok()) return true;
  for (const GenerationRecord& sample : line.samples) {
    if (!sample.done()) return false;
  }
  return true;
}

absl::Status BatchRun::WriteAnswered() {
  while (!lines_.empty()) {
    {
      absl::MutexLock lock(&mutex_);
      if (!IsAnswered(*lines_.front())) break;
    }
    SDAR_RETURN_IF_ERROR(WriteLine(*lines_.front()));
    lines_.pop_front();
  }
  return out_.Sync(AnswerFile::SyncWhen::kNowAndThen);
}

// All records of a line go out in one write: an answer is never there in part unless that write is
// cut short.
absl::Status BatchRun::WriteLine(const Line& line) {
  absl::Status error = line.error;
  for (const GenerationRecord& sample : line.samples) {
    if (error.ok()) error = sample.end().status;
  }
  if (!error.ok()) {
    ++num_failed_;
    return out_.Append(absl::StrCat(DumpJson(ErrorRecord(line.id, line.number, error)), "\n"));
  }
  std::string records;
  for (size_t i = 0; i < line.samples.size(); ++i) {
    Json record = line.samples[i].ToJson(line.id, line.with_logprobs, with_trace_);
    record["seed"] = line.seeds[i];
    if (line.samples.size() > 1) record["index"] = i;
    num_tokens_ += line.samples[i].num_tokens();
    absl::StrAppend(&records, DumpJson(record), "\n");
  }
  SDAR_RETURN_IF_ERROR(out_.Append(records));
  ++num_answered_;
  return absl::OkStatus();
}

void BatchRun::ShowProgress(size_t next_line, size_t num_lines) {
  const double seconds = absl::ToDoubleSeconds(SteadyTime::Now() - started_);
  const size_t finished = next_line - lines_.size();
  bar_.Show(static_cast<double>(finished) / static_cast<double>(num_lines),
            absl::StrFormat("%d of %d, %d tokens, %.1f tokens/s", finished, num_lines, num_tokens_,
                            static_cast<double>(num_tokens_) / seconds));
}

}  // namespace sdar
