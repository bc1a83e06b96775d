// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/mapped_file.h"

#include <algorithm>
#include <csignal>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/mman.h>
#include <unistd.h>

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/sanitized.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSize = size_t{1} << 20;

size_t CountOnes(absl::Span<const std::byte> bytes) {
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), std::byte{1}));
}

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() { folder_.Write("x", std::string(kSize, '\1')); }
  std::string path() const { return folder_.File("x"); }

  TempFolder folder_;
};

TEST_F(MappedFileTest, HoldsTheFile) {
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path()));
  EXPECT_EQ(file.bytes().size(), kSize);
  EXPECT_EQ(CountOnes(file.bytes()), kSize);
  EXPECT_THAT(file.CheckUnchanged(), IsOk());
}

TEST_F(MappedFileTest, AFileThatShrinksIsAnErrorAndNotTheEndOfTheProcess) {
  for (const size_t left : {size_t{0}, size_t{4096}, size_t{5000}, kSize - 1}) {
    folder_.Write("x", std::string(kSize, '\1'));
    SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path()));
    ASSERT_EQ(truncate(path().c_str(), static_cast<off_t>(left)), 0);
    EXPECT_EQ(CountOnes(file.bytes()), left);
    EXPECT_THAT(file.CheckUnchanged(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path())));
  }
}

TEST_F(MappedFileTest, AFileThatShrinksUnderManyReadersIsAnErrorToo) {
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path()));
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) CountOnes(file.bytes());
    });
  }
  ASSERT_EQ(truncate(path().c_str(), 4096), 0);
  for (std::thread& reader : readers) reader.join();
  EXPECT_FALSE(file.CheckUnchanged().ok());
}

TEST_F(MappedFileTest, AFileThatGrowsOrIsWrittenIsAnError) {
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile grown, MappedFile::Open(path()));
  ASSERT_EQ(truncate(path().c_str(), kSize + 1), 0);
  EXPECT_THAT(grown.CheckUnchanged(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("has")));
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile written, MappedFile::Open(path()));
  const auto later = std::filesystem::last_write_time(path()) + std::chrono::seconds(1);
  std::filesystem::last_write_time(path(), later);
  EXPECT_THAT(written.CheckUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("written")));
}

TEST_F(MappedFileTest, AFileThatIsRemovedOrReplacedIsReadToItsEnd) {
  SDAR_ASSERT_OK_AND_ASSIGN(MappedFile first, MappedFile::Open(path()));
  std::filesystem::remove(path());
  const MappedFile file = std::move(first);
  EXPECT_EQ(CountOnes(file.bytes()), kSize);
  EXPECT_THAT(file.CheckUnchanged(), IsOk());
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  folder_.Write("x", "");
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path()));
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_THAT(file.CheckUnchanged(), IsOk());
}

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, AFaultElsewhereStillEndsTheProcess) {
  if (kSanitized) GTEST_SKIP() << "sanitizers have their own handler";
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  SDAR_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(path()));
  EXPECT_EXIT(std::raise(SIGBUS), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace sdar
