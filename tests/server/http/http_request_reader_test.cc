// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_request_reader.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using Stage = HttpRequestReader::Stage;

constexpr char kHost[] = "Host: localhost\r\n";

// What becomes of a request that comes in pieces.
struct Reading {
  explicit Reading(const std::string& text, size_t piece = 1 << 20, HttpLimits limits = {},
                   size_t budget_bytes = size_t{1} << 30)
      : budget(budget_bytes), reader(limits, budget) {
    for (size_t i = 0; i < text.size(); i += piece) {
      absl::string_view input = absl::string_view(text).substr(i, piece);
      stage = reader.Take(input);
      if (stage == Stage::kHeadRead) stage = reader.Accept(limits.max_body_bytes);
      if (stage == Stage::kBody && !input.empty()) stage = reader.Take(input);
      if (stage == Stage::kWhole || stage == Stage::kFault) {
        rest = std::string(input) + text.substr(std::min(text.size(), i + piece));
        break;
      }
    }
    code = stage == Stage::kFault ? reader.fault().code : 0;
  }
  BodyBudget budget;
  HttpRequestReader reader;
  Stage stage = Stage::kHead;
  std::string rest;
  int code = 0;
};

TEST(HttpRequestReaderTest, ReadsARequestHoweverItComes) {
  const std::string text = absl::StrCat("\r\nPOST /a?b=c HTTP/1.1\r\n", kHost,
                                        "Content-Length: 5\r\nX-Request-Id: r\r\n\r\nhelloGET ");
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    Reading out(text, piece);
    ASSERT_EQ(out.stage, Stage::kWhole) << piece;
    EXPECT_EQ(out.reader.head().method, "POST");
    EXPECT_EQ(out.reader.head().path, "/a");
    EXPECT_EQ(out.reader.head().request_id, "r");
    EXPECT_TRUE(out.reader.head().keep_alive);
    EXPECT_EQ(out.reader.TakeBody(), "hello");
    EXPECT_EQ(out.rest, "GET ");
  }
}

TEST(HttpRequestReaderTest, ATargetMayBeAUrl) {
  Reading url(absl::StrCat("GET http://Example.org:80/a/?b HTTP/1.1\r\n", kHost, "\r\n"));
  EXPECT_EQ(url.reader.head().path, "/a");
  EXPECT_EQ(url.reader.head().host, "Example.org:80");
  EXPECT_EQ(Reading(absl::StrCat("GET http://a?b HTTP/1.1\r\n", kHost, "\r\n")).reader.head().path,
            "/");
  EXPECT_EQ(Reading(absl::StrCat("OPTIONS * HTTP/1.1\r\n", kHost, "\r\n")).reader.head().path, "*");
  for (const char* target : {"*", "localhost:80", "ftp://a/b", "a"}) {
    EXPECT_EQ(Reading(absl::StrCat("GET ", target, " HTTP/1.1\r\n", kHost, "\r\n")).code, 400)
        << target;
  }
}

// What a proxy in front could take for another request than the server does (RFC 9112, 6).
TEST(HttpRequestReaderTest, RefusesFramingThatIsNotPlain) {
  const std::pair<const char*, int> cases[] = {
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: chunked, identity\r\n", 501},
      {"Transfer-Encoding: identity, chunked\r\n", 501},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: \"chunked\"\r\n", 501},
      {"Transfer-Encoding:\r\n", 501},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding:\r\n chunked\r\n", 400},
      {"Transfer-Encoding: x\r\n\tchunked\r\n", 400},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Content-Length: 3\r\nContent-Length: 4\r\n", 400},
      {"Content-Length: 3\r\nContent-Length: 3\r\n", 400},
      {"Content-Length: 3, 3\r\n", 400},
      {"Content-Length: -3\r\n", 400},
      {"Content-Length: +3\r\n", 400},
      {"Content-Length: 0x3\r\n", 400},
      {"Content-Length: 3 3\r\n", 400},
      {"Content-Length: 99999999999999999999\r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Host: other\r\n", 400},
      {"X: a\r\n b\r\n", 400},
      {"X\x01: a\r\n", 400},
      {"X: a\x7f\r\n", 400},
      {"Expect: 200-maybe\r\n", 417},
  };
  for (const auto& [field, code] : cases) {
    EXPECT_EQ(Reading(absl::StrCat("POST / HTTP/1.1\r\n", kHost, field, "\r\nabc")).code, code)
        << field;
  }
  EXPECT_EQ(Reading("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").code, 400);
  EXPECT_EQ(Reading("GET / HTTP/1.1\r\n\r\n").code, 400);  // no Host
  EXPECT_EQ(Reading("GET / HTTP/1.0\r\n\r\n").code, 0);
  EXPECT_EQ(Reading("GET / HTTP/2.0\r\nHost: a\r\n\r\n").code, 505);
  EXPECT_EQ(Reading("GET / HTTP/1.1\nHost: a\n\n").code, 400);
}

TEST(HttpRequestReaderTest, RefusesWhatIsNoHttpAtItsFirstByte) {
  EXPECT_EQ(Reading("\x16\x03\x01").code, 400);  // TLS
  EXPECT_EQ(Reading(std::string("\0", 1)).code, 400);
  EXPECT_EQ(Reading(std::string(100, '\n')).code, 400);
}

TEST(HttpRequestReaderTest, AHeadIsBounded) {
  HttpLimits limits;
  limits.max_header_bytes = 1000;
  EXPECT_EQ(Reading("GET /" + std::string(2000, 'a'), 7, limits).code, 431);
  EXPECT_EQ(Reading("GET / HTTP/1.1\r\nX: " + std::string(2000, 'a'), 7, limits).code, 431);
}

TEST(HttpRequestReaderTest, ABodyIsRefusedByItsLength) {
  HttpLimits limits;
  limits.max_body_bytes = 10;
  EXPECT_EQ(
      Reading(absl::StrCat("POST / HTTP/1.1\r\n", kHost, "Content-Length: 11\r\n\r\n"), 7, limits)
          .code,
      413);
  EXPECT_EQ(
      Reading(absl::StrCat("POST / HTTP/1.1\r\n", kHost, "Transfer-Encoding: chunked\r\n\r\nb\r\n"),
              7, limits)
          .code,
      413);
}

TEST(HttpRequestReaderTest, BodiesShareABudgetAndGiveItBack) {
  const size_t size = BodyBudget::kFreeBytes + 1000;
  const std::string text = absl::StrCat("POST / HTTP/1.1\r\n", kHost, "Content-Length: ", size,
                                        "\r\n\r\n", std::string(size, 'a'));
  BodyBudget budget(1500);
  const auto read = [&](HttpRequestReader& reader) {
    absl::string_view input = text;
    reader.Take(input);
    reader.Accept(size);
    return reader.Take(input);
  };
  HttpRequestReader first({}, budget);
  ASSERT_EQ(read(first), Stage::kWhole);
  auto share = first.TakeShare();
  HttpRequestReader second({}, budget);
  ASSERT_EQ(read(second), Stage::kFault);
  EXPECT_EQ(second.fault().code, 503);
  share.reset();
  HttpRequestReader third({}, budget);
  EXPECT_EQ(read(third), Stage::kWhole);
}

TEST(HttpRequestReaderTest, ASmallBodyFindsRoomWhileLargeOnesHoldItAll) {
  const std::string text =
      absl::StrCat("POST / HTTP/1.1\r\n", kHost, "Content-Length: 5\r\n\r\nhello");
  EXPECT_EQ(Reading(text, 7, {}, 0).stage, Stage::kWhole);
}

}  // namespace
}  // namespace sdar
