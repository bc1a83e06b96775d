// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/request_flags.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

#include "boost/program_options.hpp"
#include "common/json.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "launcher/client/terminal/terminal_text.h"

namespace sdar {
namespace {

namespace po = boost::program_options;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using sdar::v1::GenerateRequest;

struct FieldFlag {
  const char* field;
  const char* help;
};

constexpr FieldFlag kFieldFlags[] = {
    {"temperature", "0: greedy"},
    {"top_k", "draw from the k most probable tokens; 0: no cut"},
    {"top_p", "draw from the most probable tokens that hold this mass"},
    {"min_p", "draw from tokens with this part of the largest probability"},
    {"repetition_penalty", "1: none"},
    {"presence_penalty", "0: none"},
    {"frequency_penalty", "0: none"},
    {"seed", "of the draws; absent: the server draws one"},
    {"n", "samples of the answer"},
    {"block_length", "positions denoised together"},
    {"denoising_steps", "steps of a block at most"},
    {"remasking_strategy",
     "sequential, low_confidence_static, low_confidence_dynamic or entropy_bounded"},
    {"confidence_threshold", "low_confidence_dynamic reveals all positions above it"},
    {"entropy_bound", "summed entropy that entropy_bounded reveals in a step"},
    {"drafts",
     "guessed states evaluated with the true one: auto, off or a number; the answer is the same"},
    {"priority", "higher goes first; -100 .. 100"},
    {"max_tokens", "of the answer"},
    {"min_tokens", "no stop before this many"},
    {"stop", "text that ends the answer; may be given several times"},
    {"stop_token_ids", "token ids that end it, such as 7,11"},
    {"ignore_eos", "do not stop at the model's end tokens"},
    {"skip_special_tokens", "leave special tokens out of the text"},
    {"structure",
     "what the answer must be: {\"json_schema\": SCHEMA}, {\"json_object\": true}, {\"regex\": "
     "TEXT} "
     "or {\"choice\": [TEXT, ..]}"},
    {"logprobs", "with --json: logprobs of the tokens and of this many alternatives"},
};

// The part of the request that has the field.
Message& GroupOf(const std::string& field, GenerateRequest& request) {
  for (Message* group : {static_cast<Message*>(request.mutable_sampling()),
                         static_cast<Message*>(request.mutable_stopping()),
                         static_cast<Message*>(request.mutable_output())}) {
    if (group->GetDescriptor()->FindFieldByName(field) != nullptr) return *group;
  }
  return *request.mutable_scheduling();
}

std::string FlagName(absl::string_view field) { return absl::StrReplaceAll(field, {{"_", "-"}}); }

// Who gives the field puts its name before it, as flag or as field.
absl::Status Refused(absl::string_view expected, absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", expected, ", got '", Shorten(text), "'"));
}

absl::Status Named(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
}

// Sets the field, or adds to it when it is repeated.
absl::Status SetNumber(const FieldDescriptor& field, absl::string_view text, Message& message) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_FLOAT: {
      float value = 0;
      if (!absl::SimpleAtof(text, &value) || !std::isfinite(value))
        return Refused("a number", text);
      reflection.SetFloat(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return Refused("an integer", text);
      reflection.SetInt32(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return Refused("a number to 2^64 - 1", text);
      reflection.SetUInt64(&message, &field, value);
      return absl::OkStatus();
    }
    default: {
      uint32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return Refused("0 .. 4294967295", text);
      field.is_repeated() ? reflection.AddUInt32(&message, &field, value)
                          : reflection.SetUInt32(&message, &field, value);
      return absl::OkStatus();
    }
  }
}

// The names that users write for an enum's values, less the first, which says nothing.
std::vector<std::string> NamesOf(const FieldDescriptor& field) {
  std::vector<std::string> names;
  for (int i = 1; i < field.enum_type()->value_count(); ++i) {
    names.push_back(absl::AsciiStrToLower(field.enum_type()->value(i)->name()));
  }
  return names;
}

absl::Status SetEnum(const FieldDescriptor& field, const std::string& text, Message& message) {
  const std::vector<std::string> names = NamesOf(field);
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) {
    return Refused(absl::StrCat("one of ", absl::StrJoin(names, ", ")), text);
  }
  const auto index = static_cast<int>(found - names.begin()) + 1;
  message.GetReflection()->SetEnum(&message, &field, field.enum_type()->value(index));
  return absl::OkStatus();
}

// {"KIND": VALUE} of a Structure.
absl::Status SetStructure(absl::string_view text, sdar::v1::Structure& structure) {
  constexpr char kExpected[] = "an object with one of json_schema, json_object, regex and choice";
  SDAR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "the structure"));
  if (!json.is_object() || json.size() != 1) return Refused(kExpected, text);
  const std::string& kind = json.begin().key();
  const Json& value = json.begin().value();
  if (kind == "json_schema") {
    structure.set_json_schema(value.is_string() ? value.get<std::string>() : DumpJson(value));
  } else if (kind == "json_object" && value == true) {
    structure.set_json_object(true);
  } else if (kind == "regex" && value.is_string()) {
    structure.set_regex(value.get<std::string>());
  } else if (kind == "choice" && value.is_array()) {
    for (const Json& one : value) {
      if (!one.is_string()) return Refused("texts to choose from", text);
      structure.mutable_choice()->add_texts(one.get<std::string>());
    }
  } else {
    return Refused(kExpected, text);
  }
  return absl::OkStatus();
}

absl::Status SetField(const FieldDescriptor& field, const std::string& text, Message& message) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return SetStructure(text, *google::protobuf::DynamicCastToGenerated<sdar::v1::Structure>(
                                    reflection.MutableMessage(&message, &field)));
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Refused("true or false", text);
      reflection.SetBool(&message, &field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(field, text, message);
    case FieldDescriptor::CPPTYPE_STRING:
      if (!IsValidUtf8(text)) return absl::InvalidArgumentError("the text is not UTF-8");
      reflection.AddString(&message, &field, text);
      return absl::OkStatus();
    default:
      break;
  }
  if (field.name() == "drafts" && text == "auto") return SetNumber(field, "-1", message);
  if (field.name() == "drafts" && text == "off") return SetNumber(field, "0", message);
  if (!field.is_repeated()) return SetNumber(field, text, message);
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    SDAR_RETURN_IF_ERROR(SetNumber(field, item, message));
  }
  return absl::OkStatus();
}

// What --help shows for the value, and completion offers.
std::string ValueOf(const FieldDescriptor& field) {
  if (field.name() == "drafts") return "auto|off|N";
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return "JSON";
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) return absl::StrJoin(NamesOf(field), "|");
  return field.is_repeated() ? "ID,..." : "N";
}

// How the command line takes the field.
po::value_semantic* SemanticOf(const FieldDescriptor& field, std::vector<std::string>& texts) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    return po::value<bool>()->implicit_value(true, "true")->notifier([&texts](bool value) {
      texts = {value ? "true" : "false"};
    });
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return po::value<std::vector<std::string>>(&texts)->composing()->value_name("TEXT");
  }
  return po::value<std::string>()
      ->value_name(ValueOf(field))
      ->notifier([&texts](const std::string& value) { texts = {value}; });
}

}  // namespace

void AddRequestFlags(FieldTexts& texts, FlagSpec& spec) {
  GenerateRequest request;
  for (const auto& [name, help] : kFieldFlags) {
    const Descriptor& group = *GroupOf(name, request).GetDescriptor();
    const FieldDescriptor* field = group.FindFieldByName(name);
    // SamplingParameters are under "Sampling".
    const absl::string_view heading = absl::StripSuffix(group.name(), "Parameters");
    spec.Group(heading)(FlagName(name).c_str(), SemanticOf(*field, texts[name]), help);
  }
}

absl::Status SetRequestFields(const FieldTexts& texts, GenerateRequest& request) {
  for (const auto& [name, given] : texts) {
    if (given.empty()) continue;
    Message& group = GroupOf(name, request);
    const FieldDescriptor* field = group.GetDescriptor()->FindFieldByName(name);
    for (const std::string& text : given) {
      SDAR_RETURN_IF_ERROR(
          Named(absl::StrCat("--", FlagName(name)), SetField(*field, text, group)));
    }
  }
  return absl::OkStatus();
}

absl::Status ChangeField(absl::string_view field, absl::string_view value, FieldTexts& texts) {
  const std::string name = absl::StrReplaceAll(field, {{"-", "_"}});
  const bool known = std::any_of(std::begin(kFieldFlags), std::end(kFieldFlags),
                                 [&](const FieldFlag& row) { return name == row.field; });
  if (!known) {
    return absl::NotFoundError(absl::StrCat("no field ", Shorten(field), ": /set lists them"));
  }
  GenerateRequest scratch;
  Message& group = GroupOf(name, scratch);
  const FieldDescriptor& descriptor = *group.GetDescriptor()->FindFieldByName(name);
  std::vector<std::string>& given = texts[name];
  if (value.empty() || descriptor.cpp_type() != FieldDescriptor::CPPTYPE_STRING) given.clear();
  if (value.empty()) return absl::OkStatus();
  given.emplace_back(value);
  return Named(name, SetField(descriptor, given.back(), group));
}

std::string DescribeFields(const FieldTexts& texts) {
  std::string out;
  for (const auto& [name, help] : kFieldFlags) {
    const auto given = texts.find(name);
    const bool set = given != texts.end() && !given->second.empty();
    absl::StrAppendFormat(&out, "%-22s %-10s %s\n", name,
                          set ? ForOneLine(absl::StrJoin(given->second, " ")) : "-", help);
  }
  return out;
}

}  // namespace sdar
