// SPDX-License-Identifier: Apache-2.0
// Fuzzes whole requests: from the bytes of a body, over HTTP or gRPC, through the scheduler on a
// made-up model, to their ends. Every sample that is accepted ends exactly once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/status_macros.h"
#include "runtime/request/request_fields.h"
#include "runtime/server/api/bodies/messages_request.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "runtime/server/api/bodies/responses_request.h"
#include "runtime/server/api/bodies/score_request.h"
#include "runtime/server/grpc/request_translation.h"
#include "runtime/text/text_codec.h"
#include "tests/schedule/simulation.h"

namespace {

constexpr int kMaxSteps = 3000;

const sdar::TextCodec& Text() {
  static const auto* const text = new absl::StatusOr<sdar::TextCodec>(
      sdar::TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny"));
  SDAR_CHECK(text->ok());
  return **text;
}

struct Parsed {
  sdar::RequestFields fields;
  std::vector<sdar::TokenId> prompt;
};

using ParseBody = absl::StatusOr<sdar::ApiCall> (*)(sdar::Json, absl::Span<const std::string>,
                                                    const sdar::TextCodec&);

absl::StatusOr<sdar::ApiCall> ParseHttp(absl::string_view body, ParseBody parse) {
  SDAR_ASSIGN_OR_RETURN(sdar::Json json, sdar::ParseJson(body, "the body", 64));
  const std::vector<std::string> models = {"tiny"};
  return parse(std::move(json), models, Text());
}

absl::StatusOr<Parsed> ParseGrpc(absl::string_view bytes) {
  sdar::v1::GenerateRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("no message");
  }
  Parsed out;
  SDAR_ASSIGN_OR_RETURN(out.fields, sdar::TranslateFields(request));
  SDAR_ASSIGN_OR_RETURN(out.prompt, sdar::TranslatePrompt(request, Text()));
  return out;
}

sdar::RequestLimits Limits() {
  sdar::RequestLimits limits = {sdar::kSimulatedVocabulary, 512, 64, 12, 128};
  limits.forbidden = {{sdar::kSimulatedMask, sdar::kSimulatedMask + 1}, {970, 1024}};
  return limits;
}

absl::StatusOr<std::vector<sdar::GenerationRequest>> Build(Parsed parsed) {
  sdar::RequestDefaults defaults;
  defaults.generation.eos_token_ids = {958};
  parsed.fields.max_tokens = std::min<int64_t>(parsed.fields.max_tokens.value_or(40), 40);
  return sdar::BuildRequests(parsed.fields, std::move(parsed.prompt), defaults, Limits());
}

absl::StatusOr<std::vector<sdar::GenerationRequest>> ReadScore(absl::string_view bytes) {
  sdar::v1::ScoreRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("no message");
  }
  SDAR_ASSIGN_OR_RETURN(const sdar::ScoreFields fields, sdar::TranslateFields(request));
  SDAR_ASSIGN_OR_RETURN(std::vector<sdar::TokenId> prompt, sdar::TranslatePrompt(request, Text()));
  SDAR_ASSIGN_OR_RETURN(std::vector<sdar::TokenId> targets,
                        sdar::TranslateContinuation(request, Text()));
  SDAR_ASSIGN_OR_RETURN(sdar::GenerationRequest built,
                        sdar::BuildScoreRequest(fields, std::move(prompt), std::move(targets),
                                                sdar::RequestDefaults(), Limits()));
  return std::vector<sdar::GenerationRequest>{std::move(built)};
}

absl::StatusOr<std::vector<sdar::GenerationRequest>> ReadScoreBody(absl::string_view bytes) {
  SDAR_ASSIGN_OR_RETURN(sdar::ApiCall call, ParseHttp(bytes, sdar::ParseScore));
  SDAR_ASSIGN_OR_RETURN(
      sdar::GenerationRequest built,
      sdar::BuildScoreRequest(call.call.score_fields, call.prompts[0], call.call.targets,
                              sdar::RequestDefaults(), Limits()));
  return std::vector<sdar::GenerationRequest>{std::move(built)};
}

// The first byte says what the others are.
absl::StatusOr<std::vector<sdar::GenerationRequest>> Read(uint8_t kind, absl::string_view bytes) {
  constexpr ParseBody kBodies[] = {sdar::ParseChatCompletion, sdar::ParseCompletion,
                                   sdar::ParseResponse, sdar::ParseMessages};
  constexpr uint8_t kGrpc = 2, kGrpcScore = 3, kScoreBody = 6, kKinds = 7;
  kind %= kKinds;
  if (kind == kGrpcScore) return ReadScore(bytes);
  if (kind == kScoreBody) return ReadScoreBody(bytes);
  if (kind == kGrpc) {
    SDAR_ASSIGN_OR_RETURN(Parsed parsed, ParseGrpc(bytes));
    return Build(std::move(parsed));
  }
  const ParseBody parse = kBodies[kind < kGrpc ? kind : kind - kGrpc];
  SDAR_ASSIGN_OR_RETURN(sdar::ApiCall call, ParseHttp(bytes, parse));
  return Build({call.call.fields, call.prompts.back()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto samples = Read(data[0], bytes);
  if (!samples.ok()) return 0;
  sdar::Simulation simulation({4, 128, 12, 64, true});
  std::optional<sdar::SequenceId> leader;
  const size_t count = std::min<size_t>(samples->size(), 6);
  for (size_t i = 0; i < count; ++i) {
    const sdar::SequenceId id = simulation.Add((*samples)[i], leader);
    if (!leader) leader = id;
  }
  int steps = 0;
  while (simulation.Step()) SDAR_CHECK(++steps < kMaxSteps);
  SDAR_CHECK(simulation.ended().size() == count);
  SDAR_CHECK(!::testing::Test::HasFailure());
  return 0;
}
