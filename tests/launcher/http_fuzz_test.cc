// SPDX-License-Identifier: Apache-2.0
// 100,000 requests over HTTP (fewer under a sanitizer), most of them damaged, from several clients
// at once.
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/served_job.h"
#include "tests/sanitized.h"
#include "tests/server/http/http_client.h"

namespace sdar {
namespace {

constexpr int kClients = 4;
constexpr int kRequestsOfAClient = kSanitized ? 2'500 : 25'000;

struct Seed {
  const char* method;
  const char* path;
  const char* body;
};

// What is right, for the changes to begin from. Answers are short.
constexpr Seed kSeeds[] = {
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

constexpr const char* kPieces[] = {
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

class Fuzzer {
 public:
  Fuzzer(std::string address, unsigned seed) : address_(std::move(address)), random_(seed) {}

  // Sends the next request; true when an answer came.
  bool Step() {
    if (client_ == nullptr) client_ = std::make_unique<HttpClient>(address_);
    const Seed& seed = kSeeds[Below(std::size(kSeeds))];
    std::string body = seed.body;
    for (size_t i = Below(4); i > 0; --i) Change(body);
    std::string path = seed.path;
    if (Below(10) == 0) Change(path);
    std::string text =
        HttpClient::Text(seed.method, path, body, Below(4) == 0 ? RandomHeader() : "");
    const bool raw = Below(50) == 0;  // the framing itself
    if (raw) Change(text);
    client_->Send(text);
    if (raw) client_->FinishSending();  // what is not whole now never will be
    const HttpAnswer answer = client_->Read();
    const auto connection = answer.headers.find("connection");
    if (raw || answer.code == 0 ||
        (connection != answer.headers.end() && connection->second == "close")) {
      client_.reset();
    }
    return answer.code != 0;
  }

 private:
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
        text.insert(at, kPieces[Below(std::size(kPieces))]);
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
               std::string(kSeeds[Below(std::size(kSeeds))].body).substr(0, Below(80));
    }
  }

  const std::string address_;
  std::mt19937 random_;
  std::unique_ptr<HttpClient> client_;
};

TEST(HttpFuzzTest, DamagedRequestsLeaveTheServerServing) {
  ServedJob job(1, {"--max-sequence-length=64", "--log-level=error"});
  const std::string expected = job.Generate(Ask("Compute 11 + 16.")).text;
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      Fuzzer fuzzer(job.http_address(), c + 1);
      for (int i = 0; i < kRequestsOfAClient; ++i) answered += fuzzer.Step() ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  // The rest was cut off by the client or had no beginning that could be answered.
  EXPECT_GT(answered, kClients * kRequestsOfAClient * 9 / 10);
  EXPECT_EQ(job.Generate(Ask("Compute 11 + 16.")).text, expected) << job.Log();
  EXPECT_TRUE(Eventually([&] {
    const sdar::v1::GetStatusResponse status = job.Status();
    return status.free_slots() == status.total_slots() && status.waiting() == 0;
  }));
  EXPECT_EQ(HttpClient(job.http_address()).Ask("GET", "/health").code, 200);
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(20), 0) << job.Log();
}

}  // namespace
}  // namespace sdar
