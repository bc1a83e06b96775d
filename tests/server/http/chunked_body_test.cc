// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/chunked_body.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

struct Decoded {
  int code = 0;  // of the fault; 0: none
  bool done = false;
  std::string body;
  std::string rest;
};

// Takes `text` in pieces of `piece` bytes.
Decoded Decode(const std::string& text, size_t piece, size_t max_body = 100,
               size_t max_overhead = 50) {
  ChunkedBody chunks(max_body, max_overhead);
  Decoded out;
  for (size_t i = 0; i < text.size() && !out.done; i += piece) {
    absl::string_view input = absl::string_view(text).substr(i, piece);
    const auto fault = chunks.Take(input, out.body);
    if (fault) {
      out.code = fault->code;
      return out;
    }
    out.done = chunks.done();
    if (out.done) out.rest = std::string(input) + text.substr(std::min(text.size(), i + piece));
  }
  return out;
}

TEST(ChunkedBodyTest, JoinsChunksHoweverTheyCome) {
  const std::string text =
      "5\r\nhello\r\n1;name=value\r\n \r\n0005\r\nworld\r\n0\r\nX: y\r\n\r\nNEXT";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const Decoded out = Decode(text, piece);
    EXPECT_EQ(out.code, 0) << piece;
    EXPECT_TRUE(out.done) << piece;
    EXPECT_EQ(out.body, "hello world") << piece;
    EXPECT_EQ(out.rest, "NEXT") << piece;
  }
}

TEST(ChunkedBodyTest, RefusesWhatTwoReadersCouldReadDifferently) {
  for (const char* text :
       {"\r\n", "x\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1\na\r\n",
        "1\r\nab\r\n", "1\r\na\n0\r\n\r\n", "1;a\nb\r\n", "1;a\x01\r\n",
        "1\r\na\r\n0\r\nX: y\n\r\n", "10000000000000000\r\n", "1\rx", "0\r\n\rx"}) {
    EXPECT_EQ(Decode(text, 1).code, 400) << text;
  }
}

TEST(ChunkedBodyTest, RefusesABodyThatIsTooLongBeforeItIsThere) {
  EXPECT_EQ(Decode("65\r\n", 1).code, 413);
  EXPECT_EQ(Decode("ffffffffffffffff\r\n", 1).code, 413);
  EXPECT_EQ(Decode("40\r\n" + std::string(64, 'a') + "\r\n25\r\n", 7).code, 413);
}

TEST(ChunkedBodyTest, CountsExtensionsAndTrailersTogether) {
  const std::string long_extension = "1;" + std::string(60, 'a') + "\r\na\r\n0\r\n\r\n";
  EXPECT_EQ(Decode(long_extension, 3).code, 431);
  std::string many = "";
  for (int i = 0; i < 30; ++i) many += "1;aa\r\nx\r\n";
  EXPECT_EQ(Decode(many, 3).code, 431);
  EXPECT_EQ(Decode("0\r\nX: " + std::string(60, 'a'), 3).code, 431);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 30; ++i) trailers += "A: b\r\n";
  EXPECT_EQ(Decode(trailers, 3).code, 431);
}

}  // namespace
}  // namespace sdar
