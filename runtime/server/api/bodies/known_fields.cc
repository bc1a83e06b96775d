// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/known_fields.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/json_fields.h"
#include "runtime/server/api/bodies/body_fields.h"

namespace sdar {
namespace {

// Says something of the client, its account or the server's memory, not of the answer.
constexpr const char* kBystanders[] = {
    "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "service_tier", "store", "prediction", "cache_salt", "request_metadata",
    // How much a model that can be told so thinks and says; ours cannot.
    "reasoning_effort", "verbosity",
    // Of text with marks between special tokens, which tokenizers of today do not set.
    "spaces_between_special_tokens",
    // Of routers.
    "bootstrap_host", "bootstrap_port", "bootstrap_room", "kv_transfer_params", "rid",
    "data_parallel_rank", "log_metrics",
    // There is one way to follow a structure.
    "guided_decoding_backend"};

// Would change the answer, and cannot be had. Only the values that ask for what is done anyway are
// taken: null and those listed, as JSON.
struct Restricted {
  const char* name;
  const char* values;  // a JSON array
};
constexpr Restricted kRestricted[] = {
    {"modalities", R"([["text"], []])"},
    {"audio", "[]"},
    {"web_search_options", "[]"},
    {"functions", "[[]]"},
    {"function_call", R"(["none", "auto"])"},
    {"suffix", R"([""])"},
    {"prompt_embeds", "[]"},
    {"documents", "[[]]"},
    {"mm_processor_kwargs", "[{}]"},
    {"include_stop_str_in_output", "[false]"},
    {"no_stop_trim", "[false]"},
    {"continue_final_message", "[false]"},
    {"truncate_prompt_tokens", "[]"},
    {"return_hidden_states", "[false]"},
    {"include_reasoning", "[true]"},
    {"separate_reasoning", "[true]"},
    {"stream_reasoning", "[true]"},
    {"return_tokens_as_token_ids", "[false]"},
    {"allowed_token_ids", "[]"},
    {"bad_words", "[[]]"},
    {"logits_processors", "[[]]"},
    {"use_beam_search", "[false]"},
    {"length_penalty", "[1]"},
    {"early_stopping", "[false]"},
    {"guided_grammar", "[]"},
    {"guided_whitespace_pattern", "[]"},
    {"structural_tag", "[]"},
    {"ebnf", "[]"},
    {"grammar", R"([""])"},
    {"lora_path", "[]"},
    {"typical_p", "[1]"},
    {"tfs_z", "[1]"},
    {"top_a", "[0]"},
    {"mirostat", "[0]"},
    {"dry_multiplier", "[0]"},
    {"xtc_probability", "[0]"},
    {"no_repeat_ngram_size", "[0]"},
};

absl::Status DropRestricted(const Restricted& field, Json& body) {
  const Json value = TakeField(body, field.name);
  if (value.is_null()) return absl::OkStatus();
  const absl::StatusOr<Json> values = ParseJson(field.values, field.name);
  SDAR_RETURN_IF_ERROR(values.status());
  if (std::find(values->begin(), values->end(), value) != values->end()) return absl::OkStatus();
  const std::string expected = absl::StrJoin(
      *values, " or ",
      [](std::string* out, const Json& allowed) { absl::StrAppend(out, DumpJson(allowed)); });
  return InField(field.name, Mistyped(absl::StrCat(expected.empty() ? "null" : expected,
                                                   ", nothing else is supported"),
                                      value));
}

}  // namespace

absl::Status DropKnownFields(Json& body) {
  for (const char* name : kBystanders) body.erase(name);
  for (const Restricted& field : kRestricted) SDAR_RETURN_IF_ERROR(DropRestricted(field, body));
  return absl::OkStatus();
}

}  // namespace sdar
