// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/job_options.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

#include "launcher/flags/flag_rows.h"

namespace sdar {
namespace {

absl::Status Parse(std::vector<std::string> arguments) {
  JobOptions options;
  FlagSpec spec;
  AddJobFlags(options, spec);
  arguments.insert(arguments.begin(), {"sdar-test", "--model=tiny"});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  const auto outcome = ParseFlags(spec, static_cast<int>(pointers.size()), pointers.data());
  return outcome.ok() ? options.Validate() : outcome.status();
}

TEST(JobOptionsTest, EveryWordThatTheTableOffersIsAccepted) {
  JobOptions options;
  FlagSpec spec;
  AddJobFlags(options, spec);
  int tried = 0;
  for (const FlagRow& row : RowsOf(spec)) {
    for (const std::string& word : std::vector<std::string>(absl::StrSplit(row.value, '|'))) {
      if (std::any_of(word.begin(), word.end(), absl::ascii_isupper)) continue;
      const std::string argument = absl::StrCat("--", row.name, "=", word);
      EXPECT_TRUE(Parse({argument}).ok()) << argument << ": " << Parse({argument});
      ++tried;
    }
  }
  EXPECT_GT(tried, 20);
}

TEST(JobOptionsTest, EveryFlagIsInAGroupAndHasAText) {
  JobOptions options;
  FlagSpec spec;
  AddJobFlags(options, spec);
  EXPECT_GT(spec.groups.size(), 4u);
  for (const FlagRow& row : RowsOf(spec)) {
    EXPECT_FALSE(row.text.empty()) << row.name;
    EXPECT_NE(row.value, "arg") << row.name;
  }
}

}  // namespace
}  // namespace sdar
