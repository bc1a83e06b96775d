// SPDX-License-Identifier: Apache-2.0
#include "launcher/jsonl/distinct_files.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

TEST(DistinctFilesTest, OneFileByTwoNamesIsRefused) {
  ScratchFolder folder;
  WriteText(folder.File("in"), "x");
  std::filesystem::create_symlink("in", folder.File("symlink"));
  std::filesystem::create_hard_link(folder.File("in"), folder.File("hard"));
  for (const std::string& name :
       {folder.File("in"), folder.File("symlink"), folder.File("hard"), folder.File("./in")}) {
    const absl::Status status =
        CheckDistinct({{"--input", folder.File("in")}}, {{"--output", name}});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--output and --input"));
  }
}

TEST(DistinctFilesTest, TwoOutputsThatWillBeOneFileAreRefused) {
  ScratchFolder folder;
  EXPECT_FALSE(
      CheckDistinct({}, {{"--output", folder.File("new")}, {"--logits", folder.File("./new")}})
          .ok());
  EXPECT_TRUE(
      CheckDistinct({}, {{"--output", folder.File("new")}, {"--logits", folder.File("other")}})
          .ok());
}

TEST(DistinctFilesTest, StreamsAndDevicesMayBeShared) {
  EXPECT_TRUE(CheckDistinct({{"--input", "/dev/null"}},
                            {{"--output", "/dev/null"}, {"--logits", "/dev/null"}})
                  .ok());
  EXPECT_TRUE(CheckDistinct({{"--input", "-"}}, {{"--output", "-"}, {"--logits", ""}}).ok());
}

TEST(DistinctFilesTest, FilesOfTheModelAreRefusedAlsoThoseThatAreNotThereYet) {
  ScratchFolder folder;
  WriteText(folder.File("config.json"), "{}");
  WriteText(folder.File("answers.jsonl"), "");
  ScratchFolder outside;
  std::filesystem::create_symlink(folder.File("config.json"), outside.File("link"));
  const std::string model = folder.File("");
  for (const std::string& name :
       {folder.File("config.json"), folder.File("generation_config.json"), outside.File("link")}) {
    const absl::Status status = CheckOutsideModel(model, {{"--output", name}});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("a file of the model"));
  }
  for (const std::string& name : {folder.File("answers.jsonl"), folder.File("more.jsonl"),
                                  outside.File("out"), std::string("-")}) {
    EXPECT_TRUE(CheckOutsideModel(model, {{"--output", name}}).ok()) << name;
  }
  EXPECT_TRUE(CheckOutsideModel("/nowhere", {{"--output", outside.File("out")}}).ok());
}

}  // namespace
}  // namespace sdar
