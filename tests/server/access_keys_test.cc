// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/access_keys.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "a-token-of-somebody";
constexpr char kOther[] = "another-one-entirely";
constexpr auto kUnknown = absl::StatusCode::kUnauthenticated;

class AccessKeysTest : public ::testing::Test {
 protected:
  // A file of its own: tests run at the same time.
  AccessKeysTest()
      : path_(testing::TempDir() + "access_keys_" +
              testing::UnitTest::GetInstance()->current_test_info()->name() + ".txt") {
    Write({kToken, kOther});
  }
  ~AccessKeysTest() override { std::filesystem::remove(path_); }

  void Write(const std::vector<std::string>& lines) {
    std::ofstream file(path_);
    for (const std::string& line : lines) file << line << '\n';
    file.close();
    // Writes that follow each other at once may get the same time.
    std::filesystem::last_write_time(path_, written_ += std::chrono::seconds(1));
  }

  const std::string path_;
  std::filesystem::file_time_type written_ = std::filesystem::file_time_type::clock::now();
};

TEST_F(AccessKeysTest, LetsInWhoShowsOneOfTheTokens) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_));
  EXPECT_THAT(keys->Check(std::string("Bearer ") + kToken), IsOk());
  EXPECT_THAT(keys->Check(std::string("bearer   ") + kOther + " "), IsOk());
}

TEST_F(AccessKeysTest, RefusesEverybodyElseWithoutRepeatingWhatTheySaid) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_));
  for (const char* value : {"", "Bearer", "Bearer ", "Basic a-token-of-somebody", kToken,
                            "Bearer a-token-of-somebod", "Bearer a-token-of-somebodyx"}) {
    EXPECT_THAT(keys->Check(value), StatusIs(kUnknown, Not(HasSubstr("a-token")))) << value;
  }
}

TEST_F(AccessKeysTest, CommentsAndEmptyLinesAreNoTokens) {
  Write({"# for the batch jobs: 0123456789", "", std::string("  ") + kToken + "\r"});
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_));
  EXPECT_THAT(keys->Check(std::string("Bearer ") + kToken), IsOk());
  EXPECT_THAT(keys->Check("Bearer # for the batch jobs: 0123456789"),
              StatusIs(kUnknown, testing::_));
}

TEST_F(AccessKeysTest, AFileThatIsWrongIsRefusedByLineAndNotQuoted) {
  Write({kToken, "two words"});
  EXPECT_THAT(AccessKeys::Open(path_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2: expected a token")));
  EXPECT_THAT(AccessKeys::Open(path_).status().ToString(), Not(HasSubstr("two words")));
  Write({"# nothing"});
  EXPECT_THAT(AccessKeys::Open(path_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no token")));
  EXPECT_THAT(AccessKeys::Open(path_ + ".missing").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cannot read")));
}

TEST_F(AccessKeysTest, AShortTokenIsOne) {
  Write({"sk-1"});
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_));
  EXPECT_THAT(keys->Check("Bearer sk-1"), IsOk());
  EXPECT_THAT(keys->Check("Bearer sk-"), StatusIs(kUnknown, testing::_));
}

TEST_F(AccessKeysTest, AFileThatChangesIsReadAgain) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_, absl::ZeroDuration()));
  const std::string first = std::string("Bearer ") + kToken;
  const std::string later = "Bearer a-token-of-tomorrow";
  EXPECT_THAT(keys->Check(first), IsOk());
  Write({"a-token-of-tomorrow"});
  EXPECT_THAT(keys->Check(later), IsOk());
  EXPECT_THAT(keys->Check(first), StatusIs(kUnknown, testing::_));
}

// What is no list of tokens may be one that somebody wanted to revoke.
TEST_F(AccessKeysTest, AFileThatBecomesWrongLetsNobodyInUntilItIsRight) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto keys, AccessKeys::Open(path_, absl::ZeroDuration()));
  const std::string token = std::string("Bearer ") + kToken;
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{kToken, "two words"}, {}, {"# nothing"}}) {
    Write(wrong);
    EXPECT_THAT(keys->Check(token), StatusIs(kUnknown, testing::_));
    Write({kToken});
    EXPECT_THAT(keys->Check(token), IsOk());
  }
  std::filesystem::remove(path_);
  EXPECT_THAT(keys->Check(token), StatusIs(kUnknown, testing::_));
}

}  // namespace
}  // namespace sdar
