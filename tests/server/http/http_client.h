// SPDX-License-Identifier: Apache-2.0
// A client that sends and reads what a test likes, over a blocking socket.
#pragma once

#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/json.h"

namespace sdar {

struct HttpAnswer {
  int code = 0;                                // 0: the connection ended without an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined

  Json json() const {
    auto parsed = ParseJson(body, "the answer");
    EXPECT_TRUE(parsed.ok()) << body;
    return parsed.value_or(Json());
  }
  // The events of a stream.
  std::vector<std::string> events() const {
    std::vector<std::string> out;
    for (absl::string_view event : absl::StrSplit(body, "\n\n", absl::SkipEmpty())) {
      EXPECT_TRUE(absl::StartsWith(event, "data: ")) << event;
      out.emplace_back(event.substr(6));
    }
    return out;
  }
};

class HttpClient {
 public:
  explicit HttpClient(const std::string& address) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(address, ':');
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::atoi(parts.second.c_str())));
    inet_pton(AF_INET, parts.first.c_str(), &to.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit = {60, 0};  // no test waits for ever
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0) << address;
  }
  virtual ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  // The server sees an end after what was sent.
  void FinishSending() { shutdown(socket_, SHUT_WR); }

  void Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = SendSome(bytes);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  static std::string Text(const std::string& method, const std::string& path,
                          const std::string& body = "", const std::string& headers = "") {
    return absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: localhost\r\n", headers,
                        "Content-Length: ", body.size(), "\r\n\r\n", body);
  }

  HttpAnswer Ask(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& headers = "") {
    Send(Text(method, path, body, headers));
    return Read();
  }

  // The next answer, whole.
  HttpAnswer Read() {
    HttpAnswer answer;
    if (!ReadHead(answer) || answer.code == 204) return answer;
    const auto length = answer.headers.find("content-length");
    if (answer.headers.count("transfer-encoding") != 0) {
      while (ReadChunk(answer.body)) {
      }
    } else if (length != answer.headers.end()) {
      answer.body = Take(static_cast<size_t>(std::atoll(length->second.c_str())));
    } else {
      while (Fill()) {
      }
      answer.body = std::exchange(held_, std::string());
    }
    return answer;
  }

  // Only the status line and the headers.
  bool ReadHead(HttpAnswer& answer) {
    const std::string head = TakeThrough("\r\n\r\n");
    if (head.empty()) return false;
    bool first = true;
    for (absl::string_view line : absl::StrSplit(head, "\r\n", absl::SkipEmpty())) {
      if (first) {
        EXPECT_TRUE(absl::SimpleAtoi(line.substr(9, 3), &answer.code)) << line;
        first = false;
        continue;
      }
      const std::pair<absl::string_view, absl::string_view> field =
          absl::StrSplit(line, absl::MaxSplits(": ", 1));
      answer.headers[absl::AsciiStrToLower(field.first)] = std::string(field.second);
    }
    return true;
  }
  // Appends the next chunk; false at the last, and when there is none.
  bool ReadChunk(std::string& out) {
    const std::string line = TakeThrough("\r\n");
    const auto size = static_cast<size_t>(std::strtoull(line.c_str(), nullptr, 16));
    out += Take(size);
    Take(2);
    return size > 0;
  }
  // Whether the server has closed the connection.
  bool AtEnd() { return held_.empty() && !Fill(); }

 protected:
  virtual ssize_t SendSome(absl::string_view bytes) {
    return send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  virtual ssize_t ReceiveSome(char* bytes, size_t size) { return recv(socket_, bytes, size, 0); }
  int socket() const { return socket_; }

 private:
  bool Fill() {
    char bytes[4096];
    const ssize_t count = ReceiveSome(bytes, sizeof(bytes));
    if (count <= 0) return false;
    held_.append(bytes, static_cast<size_t>(count));
    return true;
  }
  std::string Take(size_t size) {
    while (held_.size() < size && Fill()) {
    }
    std::string out = held_.substr(0, size);
    held_.erase(0, out.size());
    return out;
  }
  std::string TakeThrough(const std::string& mark) {
    while (held_.find(mark) == std::string::npos) {
      if (!Fill()) return "";
    }
    return Take(held_.find(mark) + mark.size());
  }

  int socket_ = -1;
  std::string held_;
};

}  // namespace sdar
