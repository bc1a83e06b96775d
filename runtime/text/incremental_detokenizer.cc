// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/incremental_detokenizer.h"

#include <utility>

#include "common/utf8.h"

namespace sdar {

std::string IncrementalDetokenizer::Push(TokenId id) {
  if (skip_special_ && tokenizer_->IsSpecial(id)) return "";
  const absl::string_view bytes = tokenizer_->TokenBytes(id);
  pending_.append(bytes.data(), bytes.size());
  const size_t waiting = TruncatedTailLength(pending_);
  std::string rest = pending_.substr(pending_.size() - waiting);
  pending_.resize(pending_.size() - waiting);
  std::string whole = std::exchange(pending_, std::move(rest));
  return IsValidUtf8(whole) ? whole : ReplaceInvalidUtf8(whole);
}

std::string IncrementalDetokenizer::Flush() {
  return ReplaceInvalidUtf8(std::exchange(pending_, std::string()));
}

}  // namespace sdar
