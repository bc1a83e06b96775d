// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/warm_up.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

#include "common/json.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"
#include "runtime/request/score_fields.h"

namespace sdar {
namespace {

// No longer prompt is begun after this.
constexpr absl::Duration kLongPrompts = absl::Seconds(1);
constexpr size_t kFirstPrompt = 64;

// Runs a request on all replicas at once: a replica has room for it, and the least loaded one gets
// the next.
absl::Status Run(Router& router, const GenerationRequest& request) {
  struct Ends {
    absl::Mutex mutex;
    int left ABSL_GUARDED_BY(mutex) = 0;
    absl::Status status ABSL_GUARDED_BY(mutex);
  } ends;
  const auto note = [&ends](const absl::Status& status) {
    absl::MutexLock lock(&ends.mutex);
    --ends.left;
    ends.status.Update(status);
  };
  ends.left = router.num_replicas();
  for (int i = 0; i < router.num_replicas(); ++i) {
    std::vector<Submission> samples(1);
    samples[0].request = request;
    // No two begin alike, so that none is sent to where another's pages are.
    std::vector<TokenId>& prompt = samples[0].request.prompt;
    if (!prompt.empty()) {
      const size_t shift = static_cast<size_t>(i) % prompt.size();
      std::rotate(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(shift),
                  prompt.end());
    }
    samples[0].callback = [note](const SequenceUpdate& update) {
      if (update.end) note(update.end->status);
    };
    const auto ids = router.Submit(std::move(samples));
    if (!ids.ok()) note(ids.status());
  }
  absl::MutexLock lock(&ends.mutex);
  ends.mutex.Await(absl::Condition(
      +[](Ends* all) ABSL_NO_THREAD_SAFETY_ANALYSIS { return all->left == 0; }, &ends));
  return ends.status;
}

// What could never fit such a job costs no first request either.
absl::Status RunIfItFits(Router& router, const absl::StatusOr<GenerationRequest>& request) {
  return request.ok() ? Run(router, *request) : absl::OkStatus();
}

absl::StatusOr<GenerationRequest> Generating(const RequestFields& fields,
                                             std::vector<TokenId> prompt, Router& router,
                                             const RequestDefaults& defaults) {
  SDAR_ASSIGN_OR_RETURN(std::vector<GenerationRequest> samples,
                        BuildRequests(fields, std::move(prompt), defaults, router.config().limits));
  return std::move(samples[0]);
}

// A question as the chat template renders it; where there is none, its text.
std::vector<TokenId> Question(const TextCodec& text) {
  ChatRequest chat;
  chat.messages = Json::array({{{"role", "user"}, {"content", "Hello, who are you?"}}});
  absl::StatusOr<std::vector<TokenId>> ids = text.EncodeChat(chat);
  if (!ids.ok()) ids = text.EncodePrompt("Hello, who are you?");
  return ids.ok() ? *std::move(ids) : std::vector<TokenId>();
}

absl::Status RunLongPrompts(Router& router, const std::vector<TokenId>& question,
                            const RequestDefaults& defaults) {
  RequestFields fields;
  fields.max_tokens = 1;
  const SteadyTime deadline = SteadyTime::Now() + kLongPrompts;
  for (size_t length = kFirstPrompt; SteadyTime::Now() < deadline; length *= 2) {
    std::vector<TokenId> prompt;
    // No two begin alike, so that none finds its pages in the prefix cache.
    for (size_t i = 0; i < length; ++i) prompt.push_back(question[(i + length) % question.size()]);
    const auto request = Generating(fields, std::move(prompt), router, defaults);
    if (!request.ok()) return absl::OkStatus();
    SDAR_RETURN_IF_ERROR(Run(router, *request));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WarmUp(Router& router, const TextCodec& text, const RequestDefaults& defaults) {
  const std::vector<TokenId> question = Question(text);
  if (question.empty()) return absl::OkStatus();
  RequestFields greedy;
  greedy.temperature = 0;
  greedy.max_tokens = 4 * defaults.block_length;
  greedy.ignore_eos = true;
  SDAR_RETURN_IF_ERROR(RunIfItFits(router, Generating(greedy, question, router, defaults)));
  RequestFields drawing = greedy;
  drawing.temperature = 1;
  drawing.top_k = 20;
  drawing.top_p = 0.9;
  SDAR_RETURN_IF_ERROR(RunIfItFits(router, Generating(drawing, question, router, defaults)));
  SDAR_RETURN_IF_ERROR(
      RunIfItFits(router, BuildScoreRequest({}, {}, question, defaults, router.config().limits)));
  return RunLongPrompts(router, question, defaults);
}

}  // namespace sdar
