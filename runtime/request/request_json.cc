// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/request_json.h"

#include "absl/strings/numbers.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/request/structure_json.h"

namespace sdar {
namespace {

// Readers of the kinds of fields: json_fields.h has those of plain numbers, and here are the
// others.
template <typename T>
absl::Status ReadField(const Json& value, std::optional<T>& out) {
  return ReadValue(value, out);
}

absl::Status ReadField(const Json& value, std::vector<TokenId>& out) {
  return ReadValue(value, out);
}

absl::Status ReadField(const Json& value, std::optional<RemaskingStrategy>& out) {
  std::string name;
  SDAR_RETURN_IF_ERROR(ReadValue(value, name));
  SDAR_ASSIGN_OR_RETURN(out, ParseRemaskingStrategy(Shorten(name)));
  return absl::OkStatus();
}

// {"TOKEN ID": BIAS}
absl::Status ReadField(const Json& value, std::vector<std::pair<TokenId, float>>& out) {
  if (!value.is_object()) return Mistyped("an object from token ids to numbers", value);
  for (const auto& [key, bias] : value.items()) {
    TokenId id = 0;
    double number = 0;
    if (!absl::SimpleAtoi(key, &id)) return Mistyped("token ids as keys", Json(key));
    SDAR_RETURN_IF_ERROR(ReadValue(bias, number));
    out.emplace_back(id, static_cast<float>(number));
  }
  return absl::OkStatus();
}

// A string or a list of strings.
absl::Status ReadField(const Json& value, std::vector<std::string>& out) {
  if (value.is_string()) return ReadValue(value, out.emplace_back());
  return ReadValue(value, out);
}

// "auto", "off" or a number.
absl::Status ReadField(const Json& value, std::optional<DraftCount>& out) {
  if (!value.is_string()) return ReadValue(value, out.emplace().value);
  SDAR_ASSIGN_OR_RETURN(out, ParseDrafts(Shorten(value.get_ref<const std::string&>())));
  return absl::OkStatus();
}

absl::Status ReadField(const Json& value, std::optional<grammar::StructureSpec>& out) {
  SDAR_ASSIGN_OR_RETURN(out, ReadStructure(value));
  return absl::OkStatus();
}

// Whether a reader has given the field a value before.
template <typename T>
bool IsGiven(const std::optional<T>& member) {
  return member.has_value();
}

template <typename T>
bool IsGiven(const std::vector<T>&) {
  return false;
}

// JetEngine's names for ours.
struct Alias {
  const char* theirs;
  const char* ours;
};
constexpr Alias kAliases[] = {{"topk", "top_k"},
                              {"topp", "top_p"},
                              {"dynamic_threshold", "confidence_threshold"},
                              {"eb_threshold", "entropy_bound"}};

template <typename Fields>
absl::flat_hash_map<std::string, JsonReader> ReadersOf(Fields& fields) {
  absl::flat_hash_map<std::string, JsonReader> readers;
  VisitFields(fields, [&readers](const char* name, auto& member) {
    readers.emplace(name, [&member](const Json& value) {
      if (IsGiven(member)) return absl::InvalidArgumentError("it is given twice, by two names");
      return ReadField(value, member);
    });
  });
  return readers;
}

// How other servers spell the structure of an answer.
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadSchemaField(const Json& value) {
  return ReadSchemaStructure(value);
}
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadRegexField(const Json& value) {
  return ReadRegexStructure(value);
}
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadChoiceField(const Json& value) {
  return ReadChoiceStructure(value);
}
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadOutputsField(const Json& value) {
  return ReadStructuredOutputs(value);
}
struct StructureField {
  const char* name;
  absl::StatusOr<std::optional<grammar::StructureSpec>> (*read)(const Json&);
};
constexpr StructureField kStructureFields[] = {{"response_format", ReadResponseFormat},  // OpenAI
                                               {"guided_json", ReadSchemaField},         // vLLM
                                               {"guided_regex", ReadRegexField},
                                               {"guided_choice", ReadChoiceField},
                                               {"structured_outputs", ReadOutputsField},
                                               {"json_schema", ReadSchemaField},  // SGLang
                                               {"regex", ReadRegexField}};

}  // namespace

absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(RequestFields& fields) {
  auto readers = ReadersOf(fields);
  for (const StructureField& field : kStructureFields) {
    readers.emplace(
        field.name,
        [&fields, name = field.name, read = field.read](const Json& value) -> absl::Status {
          SDAR_ASSIGN_OR_RETURN(std::optional<grammar::StructureSpec> structure, read(value));
          if (structure && fields.structure) {
            return absl::InvalidArgumentError("the structure is given twice, by two names");
          }
          if (structure) structure->field = name;
          if (structure) fields.structure = std::move(structure);
          return absl::OkStatus();
        });
  }
  for (const Alias& alias : kAliases) readers.emplace(alias.theirs, readers.at(alias.ours));
  return readers;
}

absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(ScoreFields& fields) {
  return ReadersOf(fields);
}

Json DefaultFieldsJson(const RequestDefaults& defaults) {
  const SamplingOptions sampling = DefaultSampling(defaults);
  const RemaskingOptions remasking = DefaultRemasking(defaults);
  return {{"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"repetition_penalty", sampling.repetition_penalty},
          {"block_length", remasking.block_length},
          {"denoising_steps", remasking.denoising_steps},
          {"remasking_strategy", std::string(Name(remasking.strategy))},
          {"confidence_threshold", remasking.confidence_threshold},
          {"entropy_bound", remasking.entropy_bound}};
}

}  // namespace sdar
