// SPDX-License-Identifier: Apache-2.0
#include "launcher/score/likelihood_run.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"

#include "common/status_macros.h"
#include "common/steady_time.h"
#include "launcher/jsonl/jsonl_files.h"
#include "launcher/score/likelihood_line.h"

namespace sdar {
namespace {

constexpr absl::Duration kShowEvery = absl::Milliseconds(200);

}  // namespace

absl::Status LikelihoodRun::Run(const std::vector<NumberedLine>& lines) {
  // Enough for the next to be there when one ends.
  const size_t in_flight = 2 * static_cast<size_t>(router_.config().slots * router_.num_replicas());
  size_t next = 0;
  while (out_) {
    for (; next < lines.size() && lines_.size() < in_flight; ++next) {
      auto line = std::make_unique<Line>();
      line->number = lines[next].number;
      line->error = Submit(lines[next].text, *line);
      lines_.push_back(std::move(line));
    }
    if (lines_.empty()) break;
    AwaitFirst();
    WriteDone();
    const size_t done = next - lines_.size();
    bar_.Show(static_cast<double>(done) / static_cast<double>(lines.size()),
              absl::StrFormat("%d of %d", done, lines.size()));
  }
  return Flush(out_);
}

absl::Status LikelihoodRun::Submit(const std::string& text, Line& line) {
  SDAR_ASSIGN_OR_RETURN(LikelihoodLine request, ParseLikelihoodLine(text, line.number, line.id));
  SDAR_ASSIGN_OR_RETURN(
      GenerationRequest sequence,
      BuildScoreRequest(request.fields, std::move(request.prompt), std::move(request.targets),
                        defaults_, router_.config().limits));
  const auto on_update = [this, &line](SequenceUpdate update) {
    absl::MutexLock lock(&mutex_);
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(line.targets));
    if (!update.end) return;
    line.end = std::move(update.end);
    news_.NotifyAll();
  };
  std::vector<Submission> submissions;
  submissions.push_back({std::move(sequence), on_update});
  return router_.Submit(std::move(submissions)).status();
}

// Wakes up now and then, so that progress is shown.
void LikelihoodRun::AwaitFirst() {
  absl::MutexLock lock(&mutex_);
  news_.AwaitUntil(mutex_, SteadyTime::Now() + kShowEvery,
                   [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return IsFirstDone(); });
}

void LikelihoodRun::WriteDone() {
  while (!lines_.empty()) {
    {
      absl::MutexLock lock(&mutex_);
      if (!IsFirstDone()) return;
    }
    WriteLine(*lines_.front());
    lines_.pop_front();
  }
}

void LikelihoodRun::WriteLine(const Line& line) {
  const absl::Status status = line.error.ok() ? line.end->status : line.error;
  if (!status.ok()) ++num_failed_;
  const Json record = status.ok() ? LikelihoodRecord(line.id, line.targets)
                                  : ErrorRecord(line.id, line.number, status);
  out_ << DumpJson(record) << '\n';
}

}  // namespace sdar
