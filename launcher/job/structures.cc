// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/structures.h"

#include <string>
#include <utility>
#include <vector>

namespace sdar {
namespace {

// The id of a mark that is a token of the model; kNoToken where it is not.
TokenId MarkOf(const Tokenizer& tokenizer, const char* mark, int64_t vocab_size) {
  const std::optional<TokenId> id = tokenizer.FindToken(mark);
  return id && *id < vocab_size ? *id : kNoToken;
}

}  // namespace

std::shared_ptr<const grammar::Vocabulary> VocabularyOf(const Tokenizer& tokenizer,
                                                        const RequestLimits& limits,
                                                        const grammar::StructureMarks& marks) {
  std::vector<std::string> tokens(static_cast<size_t>(limits.vocab_size));
  for (TokenId id = 0; id < limits.vocab_size && id < tokenizer.vocab_limit(); ++id) {
    const bool is_mark = id == marks.think_begin || id == marks.think_end ||
                         id == marks.call_begin || id == marks.call_end;
    if (tokenizer.HasToken(id) && !tokenizer.IsSpecial(id) && !is_mark) {
      tokens[static_cast<size_t>(id)] = std::string(tokenizer.TokenBytes(id));
    }
  }
  for (const auto& [begin, end] : limits.forbidden) {
    for (TokenId id = begin; id < end; ++id) tokens[static_cast<size_t>(id)].clear();
  }
  return std::make_shared<const grammar::Vocabulary>(std::move(tokens));
}

grammar::StructureMarks MarksOf(const Tokenizer& tokenizer, const RequestLimits& limits) {
  grammar::StructureMarks marks;
  marks.think_begin = MarkOf(tokenizer, "<think>", limits.vocab_size);
  marks.think_end = MarkOf(tokenizer, "</think>", limits.vocab_size);
  marks.call_begin = MarkOf(tokenizer, "<tool_call>", limits.vocab_size);
  marks.call_end = MarkOf(tokenizer, "</tool_call>", limits.vocab_size);
  return marks;
}

std::shared_ptr<grammar::StructureCompiler> MakeStructureCompiler(const Tokenizer& tokenizer,
                                                                  const RequestLimits& limits) {
  const grammar::StructureMarks marks = MarksOf(tokenizer, limits);
  return std::make_shared<grammar::StructureCompiler>(VocabularyOf(tokenizer, limits, marks),
                                                      marks);
}

}  // namespace sdar
