// SPDX-License-Identifier: Apache-2.0
// Requests over HTTP, most of them damaged: their bodies, their heads, and how they are framed.
#pragma once

#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "tests/server/http/http_client.h"

namespace sdar {

struct HttpSeed {
  const char* method;
  const char* path;
  const char* body;
};

// What is right, for the changes to begin from. Answers are short.
inline constexpr HttpSeed kHttpSeeds[] = {
    {"POST", "/v1/chat/completions",
     R"({"model":"sdar-tiny","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],)"
     R"("max_tokens":2,"temperature":0.5,"seed":3,"stream":true,"stream_options":{"include_usage":true}})"},
    {"POST", "/v1/chat/completions",
     R"({"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":1,"n":2,"logprobs":true,)"
     R"("top_logprobs":2,"stop":["a","b"],"logit_bias":{"5":-100},"provisional":true})"},
    {"POST", "/v1/chat/completions",
     R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"c","type":"function",)"
     R"("function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}],)"
     R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"max_tokens":1})"},
    {"POST", "/v1/completions",
     R"({"prompt":"The capital of","max_tokens":2,"echo":false,"top_k":4,"top_p":0.9,"min_p":0.1,"block_length":4,)"
     R"("denoising_steps":2,"remasking_strategy":"entropy_bounded","entropy_bound":0.3,"min_tokens":1})"},
    {"POST", "/v1/completions", R"({"prompt":[1,2,3,4],"max_tokens":1,"repetition_penalty":1.1})"},
    {"POST", "/tokenize", R"({"prompt":"Hello \u00e4\ud83d\ude00","add_special_tokens":true})"},
    {"POST", "/tokenize",
     R"({"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true})"},
    {"POST", "/detokenize", R"({"tokens":[1,2,957,3]})"},
    {"GET", "/v1/models", ""},
    {"GET", "/metrics", ""},
    {"GET", "/health", ""},
    {"DELETE", "/v1/models/../../etc/passwd?x=%00", ""},
};

inline constexpr const char* kHttpPieces[] = {
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\\ud800\"",
    "{}",
    "[[[[[[[[[[[[[[[[",
    "\"",
    ",",
    ":",
    "true",
    "\\",
    "\0x",
    "\xff\xfe",
    "\r\n",
    "0",
    "\"n\":1000",
    "NaN",
    "{\"a\":",
    "]",
};

// What is right in a head or between chunks, and what is not.
inline constexpr const char* kFramingLines[] = {"Transfer-Encoding: chunked\r\n",
                                                "Transfer-Encoding: xchunked\r\n",
                                                "Transfer-Encoding:\r\n chunked\r\n",
                                                "Content-Length: 5\r\n",
                                                "Content-Length: 5, 5\r\n",
                                                "Expect: 100-continue\r\n",
                                                "Connection: close\r\n",
                                                "Host: localhost\r\n",
                                                "Host: a\r\n",
                                                "Content-Encoding: gzip\r\n",
                                                "X: \x01\r\n",
                                                "\n",
                                                "\r\n\r\n",
                                                "Origin: null\r\n"};

// One client, which opens a connection when it needs one. `connect` makes it; `headers` are part of
// every request.
class HttpFuzzer {
 public:
  using Connect = std::function<std::unique_ptr<HttpClient>()>;

  HttpFuzzer(Connect connect, std::string headers, unsigned seed)
      : connect_(std::move(connect)), headers_(std::move(headers)), random_(seed) {}

  // Sends the next request, or several; true when an answer came for each.
  bool Step() {
    if (client_ == nullptr) client_ = connect_();
    const size_t count = Below(20) == 0 ? 1 + Below(5) : 1;  // pipelined
    damaged_ = false;
    std::string text;
    for (size_t i = 0; i < count; ++i) text += Request();
    if (Below(20) == 0) Damage(text);
    client_->Send(text);
    const bool finished = damaged_ || Below(20) == 0;  // what is not whole now never will be
    if (finished) client_->FinishSending();
    bool answered = true;
    for (size_t i = 0; i < count && client_ != nullptr; ++i) answered &= ReadOne();
    if (finished) client_.reset();
    return answered;
  }

 private:
  bool ReadOne() {
    HttpAnswer answer = client_->Read();
    while (answer.code == 100) answer = client_->Read();
    const auto connection = answer.headers.find("connection");
    if (answer.code == 0 || (connection != answer.headers.end() && connection->second == "close")) {
      client_.reset();
    }
    return answer.code != 0;
  }

  std::string Request() {
    const HttpSeed& seed = kHttpSeeds[Below(std::size(kHttpSeeds))];
    std::string body = seed.body;
    for (size_t i = Below(4); i > 0; --i) Change(body);
    std::string path = seed.path;
    if (Below(10) == 0) Change(path);
    std::string headers = headers_;
    if (Below(4) == 0) headers += RandomHeader();
    if (Below(15) == 0) {
      headers += kFramingLines[Below(std::size(kFramingLines))];
      damaged_ = true;
    }
    if (Below(4) != 0) return HttpClient::Text(seed.method, path, body, headers);
    return absl::StrCat(seed.method, " ", path, " HTTP/1.1\r\nHost: localhost\r\n", headers,
                        "Transfer-Encoding: chunked\r\n\r\n", Chunked(body));
  }

  // The body in chunks, with extensions and trailers, some of them wrong or endless.
  std::string Chunked(const std::string& body) {
    std::string out;
    for (size_t at = 0; at < body.size();) {
      const size_t size = std::min(body.size() - at, 1 + Below(200));
      absl::StrAppend(&out, absl::Hex(size), Below(5) == 0 ? ";name=value" : "", "\r\n",
                      body.substr(at, size), "\r\n");
      at += size;
    }
    out += "0\r\n";
    if (Below(10) == 0) absl::StrAppend(&out, "X: ", std::string(Below(70'000), 'a'), "\r\n");
    for (size_t i = Below(3); i > 0; --i) absl::StrAppend(&out, "T: ", i, "\r\n");
    out += "\r\n";
    if (Below(10) == 0) Damage(out);
    return out;
  }

  // Changes how requests are framed.
  void Damage(std::string& text) {
    Change(text);
    damaged_ = true;
  }

  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }

  std::string RandomHeader() {
    std::string value = "abcdefghijklmnop";
    Change(value);
    for (char& c : value) {
      if (c == '\r' || c == '\n' || c == '\0') c = '?';
    }
    constexpr const char* kNames[] = {"X-Request-Id", "traceparent", "Authorization", "Expect",
                                      "Accept"};
    return absl::StrCat(kNames[Below(std::size(kNames))], ": ", value, "\r\n");
  }

  void Change(std::string& text) {
    const size_t at = Below(text.size() + 1);
    switch (Below(5)) {
      case 0:
        text.insert(at, kHttpPieces[Below(std::size(kHttpPieces))]);
        break;
      case 1:
        text.erase(at, Below(8) + 1);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(Below(256));
        break;
      case 3:
        text.insert(at, text.substr(Below(text.size() + 1), 40));
        break;
      default:
        text = text.substr(0, at) +
               std::string(kHttpSeeds[Below(std::size(kHttpSeeds))].body).substr(0, Below(80));
    }
  }

  const Connect connect_;
  const std::string headers_;
  bool damaged_ = false;  // the framing of what is being sent
  std::mt19937 random_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace sdar
