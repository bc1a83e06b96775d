// SPDX-License-Identifier: Apache-2.0
// The structures of a job's requests, over its model's tokens.
#pragma once

#include <memory>

#include "runtime/grammar/structure/structure_compiler.h"
#include "runtime/request/generation_request.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// The tokens of a tokenizer as grammars see them: ids below `limits.vocab_size` that are neither
// special, nor forbidden, nor one of the marks.
std::shared_ptr<const grammar::Vocabulary> VocabularyOf(const Tokenizer& tokenizer,
                                                        const RequestLimits& limits,
                                                        const grammar::StructureMarks& marks);

// The marks of thinking and of tool calls in Qwen3's chat template, where the tokenizer has them.
grammar::StructureMarks MarksOf(const Tokenizer& tokenizer, const RequestLimits& limits);

// A compiler over these tokens. Its marks are those of MarksOf.
std::shared_ptr<grammar::StructureCompiler> MakeStructureCompiler(const Tokenizer& tokenizer,
                                                                  const RequestLimits& limits);

}  // namespace sdar
