// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_request_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

// Empty lines that some clients send after a body (RFC 9112, 2.2).
constexpr size_t kMaxEmptyLineBytes = 32;
// Of a body, taken between two looks at the budget.
constexpr size_t kPieceBytes = size_t{16} << 10;
constexpr absl::string_view kEndOfHead = "\r\n\r\n";

HttpFault NoRequest() { return {400, "not an HTTP request that is understood"}; }

HttpFault BodyTooLong(size_t limit) {
  return {413, absl::StrCat("the body: expected at most ", limit, " bytes")};
}

}  // namespace

HttpRequestReader::Stage HttpRequestReader::Take(absl::string_view& input) {
  if (stage_ == Stage::kHead) return TakeHead(input);
  return stage_ == Stage::kBody ? TakeBodyBytes(input) : stage_;
}

HttpRequestReader::Stage HttpRequestReader::TakeHead(absl::string_view& input) {
  while (head_text_.empty() && !input.empty() && (input[0] == '\r' || input[0] == '\n')) {
    if (++empty_lines_ > kMaxEmptyLineBytes) return Fail(NoRequest());
    input.remove_prefix(1);
  }
  while (!input.empty()) {
    const char byte = input.front();
    const bool bare = byte == '\n' && (head_text_.empty() || head_text_.back() != '\r');
    if (bare || IsForeignToHttp(byte)) return Fail(NoRequest());
    head_text_ += byte;
    input.remove_prefix(1);
    if (head_text_.size() > limits_.max_header_bytes) {
      return Fail(
          {431, absl::StrCat("the head: expected at most ", limits_.max_header_bytes, " bytes")});
    }
    if (byte == '\n' && absl::EndsWith(head_text_, kEndOfHead)) return EndHead();
  }
  return stage_;
}

HttpRequestReader::Stage HttpRequestReader::EndHead() {
  if (auto fault = ParseHttpHead(head_text_, head_)) return Fail(*std::move(fault));
  return stage_ = Stage::kHeadRead;
}

HttpRequestReader::Stage HttpRequestReader::Accept(size_t max_body_bytes) {
  max_body_bytes_ = std::min(max_body_bytes, limits_.max_body_bytes);
  if (!head_.chunked && head_.content_length > max_body_bytes_) {
    return Fail(BodyTooLong(max_body_bytes_));
  }
  share_ = std::make_shared<BodyBudget::Share>(budget_);
  if (head_.chunked) chunks_.emplace(max_body_bytes_, limits_.max_header_bytes);
  return stage_ = head_.has_body() ? Stage::kBody : Stage::kWhole;
}

HttpRequestReader::Stage HttpRequestReader::TakeBodyBytes(absl::string_view& input) {
  while (!input.empty()) {
    absl::string_view piece = input.substr(0, kPieceBytes);
    if (!head_.chunked) piece = piece.substr(0, head_.content_length - body_.size());
    if (!share_->GrowTo(body_.size() + piece.size())) {
      return Fail({503, "the bodies of other requests take all the room there is for them"});
    }
    const size_t size = piece.size();
    if (!head_.chunked) {
      body_.append(piece.data(), piece.size());
      piece = {};
    } else if (auto fault = chunks_->Take(piece, body_)) {
      return Fail(*std::move(fault));
    }
    input.remove_prefix(size - piece.size());
    const bool done = head_.chunked ? chunks_->done() : body_.size() == head_.content_length;
    if (done) return stage_ = Stage::kWhole;
  }
  return stage_;
}

HttpRequestReader::Stage HttpRequestReader::Fail(HttpFault fault) {
  fault_ = std::move(fault);
  body_.clear();
  body_.shrink_to_fit();
  share_.reset();
  return stage_ = Stage::kFault;
}

}  // namespace sdar
