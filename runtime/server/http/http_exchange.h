// SPDX-License-Identifier: Apache-2.0
// A request over HTTP and the ways to answer it, without the library that carries them.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sdar {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query
  std::string body;
  std::string request_id;  // X-Request-Id, or empty
  // The client has shown the certificate that it needs, or needs none.
  bool has_certificate = true;
  std::string authorization;  // the header's value, or empty
  std::string traceparent;    // likewise
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
  // Runs a function behind all that was posted before, one at a time.
  std::function<void(std::function<void()>)> post;
  // Adds a header to the answer, whatever it will be. Before it begins.
  std::function<void(std::string name, std::string value)> add_header;
  // The whole answer.
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

using HttpHandler = std::function<void(HttpExchange)>;

}  // namespace sdar
