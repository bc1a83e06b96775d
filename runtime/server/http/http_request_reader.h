// SPDX-License-Identifier: Apache-2.0
// Reads one request from a connection's bytes, in stages that can be refused one by one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "runtime/server/http/body_budget.h"
#include "runtime/server/http/chunked_body.h"
#include "runtime/server/http/http_head.h"

namespace sdar {

struct HttpLimits {
  size_t max_header_bytes = 16 << 10;  // of a head; and of a body's extensions and trailers
  size_t max_body_bytes = 16 << 20;
};

// Head, then body. Knows no socket; one thread at a time. Time and memory are linear in the bytes
// taken.
class HttpRequestReader {
 public:
  enum class Stage {
    kHead,      // more bytes of the head are needed
    kHeadRead,  // head() is there; Accept or drop the request
    kBody,      // more bytes of the body are needed
    kWhole,
    kFault
  };

  // Requires: budget outlives the reader and the shares it hands out.
  HttpRequestReader(const HttpLimits& limits, BodyBudget& budget)
      : limits_(limits), budget_(budget) {}

  // Takes bytes off `input` as far as the next stage. Requires: not yet kHeadRead.
  Stage Take(absl::string_view& input);
  // Goes on with the body of the request whose head was read, of at most `max_body_bytes`; 413 is a
  // fault like others. Requires: kHeadRead.
  Stage Accept(size_t max_body_bytes);

  Stage stage() const { return stage_; }
  // Whether a byte of the request has been taken, empty lines before it aside.
  bool begun() const { return !head_text_.empty(); }
  // From kHeadRead on.
  const HttpHead& head() const { return head_; }
  // Requires: kFault.
  const HttpFault& fault() const { return fault_; }
  // The body, and its share of the budget, which its reader holds for as long. Requires: kWhole.
  std::string TakeBody() { return std::move(body_); }
  std::shared_ptr<BodyBudget::Share> TakeShare() { return std::move(share_); }

 private:
  Stage TakeHead(absl::string_view& input);
  Stage TakeBodyBytes(absl::string_view& input);
  Stage EndHead();
  Stage Fail(HttpFault fault);

  const HttpLimits limits_;
  BodyBudget& budget_;
  Stage stage_ = Stage::kHead;
  size_t empty_lines_ = 0;  // bytes of them before the request
  std::string head_text_;
  HttpHead head_;
  HttpFault fault_;
  size_t max_body_bytes_ = 0;
  std::optional<ChunkedBody> chunks_;
  std::string body_;
  std::shared_ptr<BodyBudget::Share> share_;
};

}  // namespace sdar
