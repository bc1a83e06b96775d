// SPDX-License-Identifier: Apache-2.0
// A request over HTTP and the ways to answer it, without the library that carries them.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sdar {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query
  std::string body;
  // The body's part of the memory that all bodies share; to be held as long as the body is.
  std::shared_ptr<void> body_share;
  // The client has shown the certificate that it needs, or needs none.
  bool has_certificate = true;
  // Values of fields; empty where absent.
  std::string authorization;
  std::string content_encoding;
  std::string host;
  std::string origin;
  std::string request_headers;  // Access-Control-Request-Headers
  std::string request_id;       // X-Request-Id
  std::string traceparent;
};

struct HttpResponse {
  int code = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// Either respond, or send (as often as there is something) and then end, ends the exchange. All
// functions: any thread; none blocks or calls back before it returns. When the client has gone,
// they do nothing but say so.
struct HttpExchange {
  HttpRequest request;
  // Runs a function after all that was posted before, one at a time.
  std::function<void(std::function<void()>)> post;
  // Adds a header to the answer, whatever it will be. Before it begins.
  std::function<void(std::string name, std::string value)> add_header;
  // The whole answer. The client of a HEAD gets its head only.
  std::function<void(HttpResponse)> respond;
  // A piece of an event stream; `sent` is called, as if posted, with whether it was. One at a time.
  std::function<void(std::string piece, std::function<void(bool)> sent)> send;
  // The end of the event stream.
  std::function<void()> end;
  // Has a function called, as if posted, once the client has gone before the exchange has ended.
  std::function<void(std::function<void()>)> on_gone;
  // Has a function called, as if posted, once the answer is with the client's machine, or the
  // client has gone.
  std::function<void(std::function<void()>)> on_ended;
};

// What becomes of a request whose head was read.
struct HttpAdmission {
  std::optional<HttpResponse> refusal;  // the answer, whatever the body
  size_t max_body_bytes = std::numeric_limits<size_t>::max();
};

// All are called on the server's threads and must not block.
struct HttpHandlers {
  // Of a request without its body.
  std::function<HttpAdmission(const HttpRequest&)> admit = [](const HttpRequest&) {
    return HttpAdmission();
  };
  // Of a whole request that was admitted.
  std::function<void(HttpExchange)> handle;
  // Whether a connection may go on after the answer that begins now.
  std::function<bool()> may_keep = [] { return true; };
  // The answer to what is no request, by its code and a sentence.
  std::function<HttpResponse(int code, const std::string& message)> refuse;
};

}  // namespace sdar
