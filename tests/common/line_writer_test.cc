// SPDX-License-Identifier: Apache-2.0
#include "common/line_writer.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "common/steady_time.h"

namespace sdar {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// A pipe whose ends can be closed one by one.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    CloseReader();
    close(ends_[1]);
  }
  int writer() const { return ends_[1]; }
  void CloseReader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }
  // What comes until the text contains `word`, or for ten seconds.
  std::string ReadUntil(const std::string& word) {
    std::string text;
    pollfd waiting = {ends_[0], POLLIN, 0};
    while (!absl::StrContains(text, word) && poll(&waiting, 1, 10'000) > 0) {
      char buffer[4096];
      const ssize_t size = read(ends_[0], buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
};

LineWriterOptions Options(size_t max_bytes = size_t{1} << 20) {
  LineWriterOptions options;
  options.max_bytes = max_bytes;
  options.close_timeout = absl::Milliseconds(50);
  options.report = [](uint64_t lines) { return absl::StrCat("dropped ", lines, "\n"); };
  return options;
}

TEST(LineWriterTest, WritesLinesInTheirOrderWholeAndOnce) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), Options(size_t{8} << 20));
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string line = absl::StrCat(i, std::string(static_cast<size_t>(i) * 97, 'x'), "\n");
    writer.Write(line);
    expected += line;
  }
  writer.Write("the end\n");
  EXPECT_EQ(pipe.ReadUntil("the end\n"), expected + "the end\n");
  EXPECT_EQ(writer.num_dropped(), 0u);
}

TEST(LineWriterTest, NobodyWaitsForAReaderThatDoesNotReadAndTheQueueIsBounded) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), Options(256 << 10));
  const std::string line(1023, 'x');
  for (int i = 0; i < 1000; ++i) writer.Write(line + "\n");
  // The pipe takes 64 KiB, the queue 256, and the thread holds a line.
  EXPECT_GE(writer.num_dropped(), 1000u - 64 - 256 - 1);
  EXPECT_FALSE(writer.Flush(absl::Milliseconds(1)));
  const uint64_t dropped = writer.num_dropped();
  const std::string report = absl::StrCat("dropped ", dropped, "\n");
  const std::string text = pipe.ReadUntil(report);
  EXPECT_THAT(text, HasSubstr(report));
  EXPECT_EQ(std::count(text.begin(), text.end(), 'x'),
            static_cast<int64_t>((1000 - dropped) * line.size()));
}

TEST(LineWriterTest, AReaderThatWentAwayEndsNothing) {
  ASSERT_EQ(signal(SIGPIPE, SIG_DFL), SIG_DFL);
  Pipe pipe;
  LineWriter writer(pipe.writer(), Options());
  pipe.CloseReader();
  for (int i = 0; i < 10; ++i) writer.Write("a line\n");
  EXPECT_TRUE(writer.Flush(absl::Seconds(10)));
  EXPECT_EQ(writer.num_dropped(), 10u);
}

TEST(LineWriterTest, ADescriptorThatTakesNothingLosesLinesAndReportsThemOnceItTakesThem) {
  // A non-blocking pipe that is full is no error; a full disk is one.
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  LineWriter writer(full, Options());
  writer.Write("lost\n");
  writer.Write("lost too\n");
  EXPECT_TRUE(writer.Flush(absl::Seconds(10)));
  EXPECT_EQ(writer.num_dropped(), 2u);
  Pipe pipe;
  ASSERT_GE(dup2(pipe.writer(), full), 0);
  writer.Write("kept\n");
  EXPECT_EQ(pipe.ReadUntil("kept\n"), "dropped 2\nkept\n");
  EXPECT_EQ(writer.num_dropped(), 2u);
  EXPECT_TRUE(writer.Flush(absl::Seconds(10)));
  close(full);
}

TEST(LineWriterTest, ANonBlockingDescriptorLosesNothing) {
  Pipe pipe;
  fcntl(pipe.writer(), F_SETFL, O_NONBLOCK);
  LineWriter writer(pipe.writer(), Options());
  const std::string long_line = std::string(200'000, 'x') + "\n";
  writer.Write(long_line);
  writer.Write("the end\n");
  EXPECT_EQ(pipe.ReadUntil("the end\n"), long_line + "the end\n");
}

TEST(LineWriterTest, ItsEndIsBoundedWhenNobodyReads) {
  Pipe pipe;
  const SteadyTime begin = SteadyTime::Now();
  {
    LineWriter writer(pipe.writer(), Options());
    writer.Write(std::string(200'000, 'x') + "\n");
  }
  EXPECT_LT(SteadyTime::Now() - begin, absl::Seconds(5));
}

TEST(LineWriterTest, ItsEndWaitsForAReaderThatReads) {
  Pipe pipe;
  LineWriterOptions options = Options();
  options.close_timeout = absl::Seconds(30);
  std::string text;
  std::thread reader([&] { text = pipe.ReadUntil("the end\n"); });
  {
    LineWriter writer(pipe.writer(), options);
    writer.Write(std::string(500'000, 'x') + "\n");
    writer.Write("the end\n");
  }
  reader.join();
  EXPECT_THAT(text, EndsWith("x\nthe end\n"));
}

}  // namespace
}  // namespace sdar
