// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_head.h"

#include <exception>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "boost/asio/buffer.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/parser.hpp"

namespace sdar {
namespace {

namespace http = boost::beast::http;
using HeadParser = http::request_parser<http::empty_body>;
using Fields = http::fields;

absl::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string ValueOf(const Fields& fields, absl::string_view name) {
  const auto found = fields.find(boost::beast::string_view(name.data(), name.size()));
  return found == fields.end() ? "" : std::string(View(found->value()));
}

// A key may also come as Anthropic's clients send it.
std::string AuthorizationOf(const Fields& fields) {
  std::string authorization = ValueOf(fields, "Authorization");
  const std::string key = ValueOf(fields, "x-api-key");
  return authorization.empty() && !key.empty() ? absl::StrCat("Bearer ", key) : authorization;
}

// A line that begins with a blank goes on with the field before it; what reads the lines one by one
// sees another field.
bool HasFoldedLine(absl::string_view text) {
  return absl::StrContains(text, "\r\n ") || absl::StrContains(text, "\r\n\t");
}

std::optional<HttpFault> TakeFraming(const Fields& fields, HttpHead& head) {
  const size_t codings = fields.count(http::field::transfer_encoding);
  const size_t lengths = fields.count(http::field::content_length);
  if (codings > 0 && lengths > 0) {
    return HttpFault{400, "expected Transfer-Encoding or Content-Length, got both"};
  }
  if (codings > 0 && head.version < 11) {
    return HttpFault{400, "Transfer-Encoding: HTTP/1.0 has none"};
  }
  if (codings > 1) return HttpFault{400, "Transfer-Encoding: expected one field"};
  if (codings == 1) {
    const absl::string_view coding =
        absl::StripAsciiWhitespace(View(fields.find(http::field::transfer_encoding)->value()));
    if (!absl::EqualsIgnoreCase(coding, "chunked")) {
      return HttpFault{501, absl::StrCat("Transfer-Encoding: expected chunked, got '",
                                         coding.substr(0, 40), "'")};
    }
    head.chunked = true;
  }
  const std::string length = ValueOf(fields, "Content-Length");
  if (lengths > 1 || absl::StrContains(length, ',')) {
    return HttpFault{400, "Content-Length: expected one length"};
  }
  return std::nullopt;
}

// The target is a path, the URL of one, or "*".
std::optional<HttpFault> TakeTarget(absl::string_view target, const Fields& fields,
                                    HttpHead& head) {
  const size_t hosts = fields.count(http::field::host);
  if (hosts > 1) return HttpFault{400, "Host: expected one field"};
  if (hosts == 0 && head.version >= 11) return HttpFault{400, "Host: HTTP/1.1 requires it"};
  head.host = ValueOf(fields, "Host");
  for (absl::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(target, scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    head.host = std::string(target.substr(0, end));
    target.remove_prefix(end);
    if (target.empty() || target[0] == '?') target = "/";
    break;
  }
  target = target.substr(0, target.find('?'));
  while (target.size() > 1 && target.back() == '/') target.remove_suffix(1);
  const bool asterisk = target == "*" && head.method == "OPTIONS";
  if (!asterisk && !absl::StartsWith(target, "/")) {
    return HttpFault{400, "the target: expected a path or the URL of one"};
  }
  head.path = std::string(target);
  return std::nullopt;
}

std::optional<HttpFault> TakeHead(const HeadParser& parser, HttpHead& head) {
  const auto& request = parser.get();
  head.version = request.version();
  head.method = std::string(View(request.method_string()));
  if (head.version != 10 && head.version != 11) {
    return HttpFault{505, "expected HTTP/1.1 or HTTP/1.0"};
  }
  if (auto fault = TakeFraming(request, head)) return fault;
  if (auto fault = TakeTarget(View(request.target()), request, head)) return fault;
  head.keep_alive = request.keep_alive();
  if (!head.chunked) head.content_length = parser.content_length().value_or(0);
  const std::string expectation = ValueOf(request, "Expect");
  head.expects_continue = absl::EqualsIgnoreCase(expectation, "100-continue");
  if (!expectation.empty() && !head.expects_continue) {
    return HttpFault{417, "Expect: expected 100-continue"};
  }
  head.authorization = AuthorizationOf(request);
  head.content_encoding = ValueOf(request, "Content-Encoding");
  head.origin = ValueOf(request, "Origin");
  head.request_headers = ValueOf(request, "Access-Control-Request-Headers");
  head.request_id = ValueOf(request, "X-Request-Id");
  head.traceparent = ValueOf(request, "traceparent");
  return std::nullopt;
}

std::optional<HttpFault> FaultOf(const boost::beast::error_code& error) {
  if (error == http::error::bad_version) return HttpFault{505, "expected HTTP/1.1 or HTTP/1.0"};
  return HttpFault{400, absl::StrCat("not an HTTP request that is understood: ", error.message())};
}

}  // namespace

bool IsForeignToHttp(char byte) {
  return absl::ascii_iscntrl(static_cast<unsigned char>(byte)) && byte != '\t' && byte != '\r' &&
         byte != '\n';
}

std::optional<HttpFault> ParseHttpHead(absl::string_view text, HttpHead& head) {
  head = HttpHead();
  if (HasFoldedLine(text)) return HttpFault{400, "a field's line is folded"};
  HeadParser parser;
  parser.header_limit(std::numeric_limits<uint32_t>::max());
  parser.body_limit(std::numeric_limits<uint64_t>::max());
  boost::beast::error_code error;
  try {
    parser.put(boost::asio::buffer(text.data(), text.size()), error);
  } catch (const std::exception& thrown) {  // of fields that are too long for the library
    return HttpFault{431, absl::StrCat("the head is too large: ", thrown.what())};
  }
  if (error) return FaultOf(error);
  if (!parser.is_header_done()) return HttpFault{400, "not an HTTP request that is understood"};
  return TakeHead(parser, head);
}

}  // namespace sdar
