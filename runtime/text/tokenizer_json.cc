// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/tokenizer_json.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/pretokenizer.h"

namespace sdar {
namespace {

constexpr absl::string_view kSource = "tokenizer.json";
constexpr size_t kMaxPatterns = 16;
constexpr size_t kMaxSequenceDepth = 8;

// The member `key` of an object, or null where there is none.
const Json& Member(const Json& object, const char* key) {
  static const Json* const null = new Json(nullptr);
  if (!object.is_object()) return *null;
  const auto it = object.find(key);
  return it == object.end() ? *null : *it;
}

absl::StatusOr<bool> BoolMember(const Json& object, const char* key, bool absent) {
  const Json& value = Member(object, key);
  if (value.is_null()) return absent;
  if (value.is_boolean()) return value.get<bool>();
  return InvalidTokenizer(kSource,
                          absl::StrCat(key, " is ", DumpJson(value), ", expected true or false"));
}

// The "type" of a component. InvalidArgument when the component has none.
absl::StatusOr<std::string> TypeOf(const Json& component, absl::string_view name) {
  const Json& type = Member(component, "type");
  if (!type.is_string()) return InvalidTokenizer(kSource, absl::StrCat(name, " has no type"));
  return type.get<std::string>();
}

absl::Status Unsupported(absl::string_view component, absl::string_view got,
                         absl::string_view expected) {
  return InvalidTokenizer(
      kSource, absl::StrCat(component, " '", got, "' is not supported; expected ", expected));
}

absl::Status ReadNormalizer(const Json& normalizer, size_t depth, TokenizerDescription& out) {
  if (normalizer.is_null()) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(const std::string type, TypeOf(normalizer, "normalizer"));
  if (type == "NFC") {
    out.nfc = true;
    return absl::OkStatus();
  }
  const Json& parts = Member(normalizer, "normalizers");
  if (type != "Sequence" || !parts.is_array() || depth > kMaxSequenceDepth) {
    return Unsupported("normalizer", type, "NFC or null");
  }
  for (const Json& part : parts) SDAR_RETURN_IF_ERROR(ReadNormalizer(part, depth + 1, out));
  return absl::OkStatus();
}

// A string pattern matches itself: quoted for the regular expression engine.
std::string QuotePattern(absl::string_view literal) {
  std::string out;
  for (const char c : literal) {
    const bool word = (c & 0x80) != 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                      (c >= 'A' && c <= 'Z') || c == '_';
    if (!word) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

absl::Status ReadSplit(const Json& split, TokenizerDescription& out) {
  const Json& behavior = Member(split, "behavior");
  if (behavior != "Isolated") {
    return Unsupported("pre_tokenizer Split behavior", DumpJson(behavior), "Isolated");
  }
  SDAR_ASSIGN_OR_RETURN(const bool invert, BoolMember(split, "invert", false));
  if (invert) return Unsupported("pre_tokenizer Split invert", "true", "false");
  const Json& pattern = Member(split, "pattern");
  const Json& regex = Member(pattern, "Regex");
  const Json& literal = Member(pattern, "String");
  if (regex.is_string()) {
    out.patterns.push_back(regex.get<std::string>());
  } else if (literal.is_string()) {
    out.patterns.push_back(QuotePattern(literal.get_ref<const std::string&>()));
  } else {
    return InvalidTokenizer(kSource,
                            "pre_tokenizer Split has a pattern that is neither Regex nor String");
  }
  return absl::OkStatus();
}

absl::Status ReadByteLevel(const Json& byte_level, bool& seen, TokenizerDescription& out) {
  SDAR_ASSIGN_OR_RETURN(const bool prefix, BoolMember(byte_level, "add_prefix_space", true));
  if (prefix) return Unsupported("pre_tokenizer ByteLevel add_prefix_space", "true", "false");
  SDAR_ASSIGN_OR_RETURN(const bool use_regex, BoolMember(byte_level, "use_regex", true));
  if (use_regex) out.patterns.emplace_back(Pretokenizer::ByteLevelPattern());
  seen = true;
  return absl::OkStatus();
}

absl::Status ReadPretokenizer(const Json& pretokenizer, size_t depth, bool& byte_level,
                              TokenizerDescription& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string type, TypeOf(pretokenizer, "pre_tokenizer"));
  if (byte_level) return Unsupported("pre_tokenizer after ByteLevel", type, "ByteLevel to be last");
  if (out.patterns.size() > kMaxPatterns)
    return InvalidTokenizer(kSource, "pre_tokenizer has over 16 parts");
  if (type == "ByteLevel") return ReadByteLevel(pretokenizer, byte_level, out);
  if (type == "Split") return ReadSplit(pretokenizer, out);
  const Json& parts = Member(pretokenizer, "pretokenizers");
  if (type != "Sequence" || !parts.is_array() || depth > kMaxSequenceDepth) {
    return Unsupported("pre_tokenizer", type, "Split, ByteLevel or a Sequence of them");
  }
  for (const Json& part : parts) {
    SDAR_RETURN_IF_ERROR(ReadPretokenizer(part, depth + 1, byte_level, out));
  }
  return absl::OkStatus();
}

// A template adds nothing to one text where it holds the text and no special token.
absl::Status CheckTemplate(const Json& processor) {
  const Json& single = Member(processor, "single");
  if (!single.is_array()) {
    return InvalidTokenizer(kSource, "post_processor TemplateProcessing has no list 'single'");
  }
  size_t texts = 0;
  for (const Json& piece : single) {
    if (!Member(piece, "Sequence").is_object()) {
      return Unsupported("post_processor TemplateProcessing with", DumpJson(piece),
                         "one that adds no token to a text");
    }
    ++texts;
  }
  if (texts == 1) return absl::OkStatus();
  return Unsupported("post_processor TemplateProcessing of", absl::StrCat(texts, " texts"), "one");
}

// A post-processor must add nothing; that of byte levels only moves offsets.
absl::Status CheckPostProcessor(const Json& processor, size_t depth) {
  if (processor.is_null()) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(const std::string type, TypeOf(processor, "post_processor"));
  if (type == "ByteLevel") return absl::OkStatus();
  if (type == "TemplateProcessing") return CheckTemplate(processor);
  const Json& parts = Member(processor, "processors");
  if (type != "Sequence" || !parts.is_array() || depth > kMaxSequenceDepth) {
    return Unsupported("post_processor", type,
                       "ByteLevel, TemplateProcessing, a Sequence of them or null");
  }
  for (const Json& part : parts) SDAR_RETURN_IF_ERROR(CheckPostProcessor(part, depth + 1));
  return absl::OkStatus();
}

// The decoder must join bytes and the post-processor must add nothing.
absl::Status CheckDecoding(const Json& root) {
  SDAR_ASSIGN_OR_RETURN(const std::string decoder, TypeOf(Member(root, "decoder"), "decoder"));
  if (decoder != "ByteLevel") return Unsupported("decoder", decoder, "ByteLevel");
  return CheckPostProcessor(Member(root, "post_processor"), 0);
}

absl::Status CheckModelOptions(const Json& model) {
  const Json& type = Member(model, "type");
  if (type != "BPE") return Unsupported("model type", DumpJson(type), "BPE");
  const Json& dropout = Member(model, "dropout");
  if (!dropout.is_null() && dropout != 0) {
    return Unsupported("model dropout", DumpJson(dropout), "null");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& affix = Member(model, key);
    if (!affix.is_null() && affix != "") {
      return Unsupported(absl::StrCat("model ", key), DumpJson(affix), "null or empty");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadMerge(const Json& merge, TokenizerDescription& out) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    out.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    return absl::OkStatus();
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      out.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      return absl::OkStatus();
    }
  }
  return InvalidTokenizer(kSource,
                          absl::StrCat("model merge ", out.merges.size(), " is ", DumpJson(merge),
                                       ", expected [\"a\", \"b\"] or \"a b\""));
}

absl::Status ReadModel(const Json& model, TokenizerDescription& out) {
  SDAR_RETURN_IF_ERROR(CheckModelOptions(model));
  SDAR_ASSIGN_OR_RETURN(out.ignore_merges, BoolMember(model, "ignore_merges", false));
  SDAR_RETURN_IF_ERROR(ReadVocab(Member(model, "vocab"), kSource, out.vocab));
  const Json& merges = Member(model, "merges");
  if (!merges.is_array()) return InvalidTokenizer(kSource, "model has no list of merges");
  out.merges.reserve(merges.size());
  for (const Json& merge : merges) SDAR_RETURN_IF_ERROR(ReadMerge(merge, out));
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const Json& tokens, TokenizerDescription& out) {
  if (tokens.is_null()) return absl::OkStatus();
  if (!tokens.is_array()) return InvalidTokenizer(kSource, "added_tokens is not a list");
  for (const Json& entry : tokens) {
    AddedToken token;
    SDAR_RETURN_IF_ERROR(ReadAddedToken(entry, kSource, token));
    const Json& id = Member(entry, "id");
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= std::numeric_limits<TokenId>::max()) {
      return InvalidTokenizer(
          kSource, absl::StrCat("added token '", token.content, "' has id ", DumpJson(id),
                                ", expected a non-negative integer"));
    }
    token.id = static_cast<TokenId>(id.get<uint64_t>());
    out.added_tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InvalidTokenizer(absl::string_view source, absl::string_view what) {
  return ShortInvalidArgument(absl::StrCat(source, ": ", what));
}

absl::Status ReadVocab(const Json& vocab, absl::string_view source,
                       std::vector<std::pair<std::string, TokenId>>& out) {
  if (!vocab.is_object()) return InvalidTokenizer(source, "the vocabulary is not an object");
  out.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= std::numeric_limits<TokenId>::max()) {
      return InvalidTokenizer(source, absl::StrCat("token '", token, "' has id ", DumpJson(id),
                                                   ", expected a non-negative integer"));
    }
    out.emplace_back(token, static_cast<TokenId>(id.get<uint64_t>()));
  }
  return absl::OkStatus();
}

absl::Status ReadAddedToken(const Json& entry, absl::string_view source, AddedToken& out) {
  const Json& content = Member(entry, "content");
  if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
    return InvalidTokenizer(source, absl::StrCat("an added token has content ", DumpJson(content),
                                                 ", expected a non-empty string"));
  }
  out.content = content.get<std::string>();
  // As in the tokenizers library, a token that says nothing is normalised unless it is special.
  const std::pair<const char*, bool*> flags[] = {{"special", &out.special},
                                                 {"single_word", &out.single_word},
                                                 {"lstrip", &out.lstrip},
                                                 {"rstrip", &out.rstrip},
                                                 {"normalized", &out.normalized}};
  for (const auto& [key, target] : flags) {
    const bool absent = target == &out.normalized && !out.special;
    const Json& flag = Member(entry, key);
    if (!flag.is_null() && !flag.is_boolean()) {
      return InvalidTokenizer(source, absl::StrCat("added token '", out.content, "': ", key, " is ",
                                                   DumpJson(flag), ", expected true or false"));
    }
    *target = flag.is_null() ? absent : flag.get<bool>();
  }
  return absl::OkStatus();
}

absl::Status ReadTokenizerJson(absl::string_view text, TokenizerDescription& out) {
  SDAR_ASSIGN_OR_RETURN(const Json root, ParseJson(text, kSource, 64, false, kMaxJsonFileValues));
  if (!root.is_object()) return InvalidTokenizer(kSource, "expected an object");
  SDAR_RETURN_IF_ERROR(ReadNormalizer(Member(root, "normalizer"), 0, out));
  bool byte_level = false;
  SDAR_RETURN_IF_ERROR(ReadPretokenizer(Member(root, "pre_tokenizer"), 0, byte_level, out));
  if (!byte_level) return InvalidTokenizer(kSource, "pre_tokenizer has no ByteLevel part");
  SDAR_RETURN_IF_ERROR(CheckDecoding(root));
  SDAR_RETURN_IF_ERROR(ReadModel(Member(root, "model"), out));
  return ReadAddedTokens(Member(root, "added_tokens"), out);
}

}  // namespace sdar
