// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/openai_chunks.h"

#include <utility>

#include "runtime/server/api/api_error.h"

namespace sdar {

OpenAiChunks::OpenAiChunks(const ApiCall& call, AnswerIdentity identity, const char* kind,
                           const char* chunk_kind)
    : stream_(call.stream),
      include_usage_(call.include_usage),
      continuous_usage_(call.continuous_usage),
      samples_per_prompt_(call.samples_per_prompt()),
      model_(call.model),
      identity_(std::move(identity)),
      kind_(kind),
      chunk_kind_(chunk_kind),
      usage_(call) {}

Json OpenAiChunks::Envelope(const char* object) const {
  return {
      {"id", identity_.id}, {"object", object}, {"created", identity_.created}, {"model", model_}};
}

std::string OpenAiChunks::Chunk(Json choice) const {
  Json chunk = Envelope(chunk_kind_);
  chunk["choices"] = Json::array({std::move(choice)});
  if (continuous_usage_) chunk["usage"] = usage_.ToJson();
  return ServerSentEvent(chunk);
}

std::string OpenAiChunks::Provisional(size_t prompt,
                                      const sdar::v1::Provisional& provisional) const {
  Json positions = Json::array();
  for (const sdar::v1::Provisional::Position& position : provisional.positions()) {
    positions.push_back({{"position", position.position()},
                         {"masked", position.masked()},
                         {"token_id", position.token_id()},
                         {"text", position.text()},
                         {"confidence", position.confidence()}});
  }
  Json chunk = Envelope(chunk_kind_);
  chunk["choices"] = Json::array();
  chunk["provisional"] = {{"index", prompt * samples_per_prompt_ + provisional.index()},
                          {"block", provisional.block()},
                          {"step", provisional.step()},
                          {"positions", std::move(positions)}};
  return ServerSentEvent(chunk);
}

std::string OpenAiChunks::End(const absl::Status& status) const {
  constexpr char kDone[] = "data: [DONE]\n\n";
  if (!status.ok()) return ServerSentEvent(ApiError(status)) + kDone;
  if (!include_usage_) return kDone;
  Json chunk = Envelope(chunk_kind_);
  chunk["choices"] = Json::array();
  chunk["usage"] = usage_.ToJson();
  return ServerSentEvent(chunk) + kDone;
}

Json OpenAiChunks::Body(Json choices) const {
  Json body = Envelope(kind_);
  body["choices"] = std::move(choices);
  body["usage"] = usage_.ToJson();
  return body;
}

}  // namespace sdar
