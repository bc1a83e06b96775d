// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/model_location.h"

#include <cstdlib>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kAbsentModel = absl::StatusCode::kNotFound;
constexpr auto kNoModel = absl::StatusCode::kInvalidArgument;
constexpr char kName[] = "JetLM/SDAR-8B-Chat-b32";

// A cache with a repository of kName.
class ModelLocationTest : public ::testing::Test {
 protected:
  std::string Repository() const { return folder_.File("models--JetLM--SDAR-8B-Chat-b32"); }
  std::string Snapshot(const std::string& revision) const {
    return Repository() + "/snapshots/" + revision;
  }
  void AddSnapshot(const std::string& revision) {
    std::filesystem::create_directories(Snapshot(revision));
  }
  void WriteMain(const std::string& text) {
    std::filesystem::create_directories(Repository() + "/refs");
    folder_.Write("models--JetLM--SDAR-8B-Chat-b32/refs/main", text);
  }
  absl::StatusOr<ModelLocation> Locate(const std::string& model) {
    return LocateModel(model, folder_.path());
  }

  TempFolder folder_;
};

TEST_F(ModelLocationTest, AFolderIsItselfAndHasItsLastName) {
  std::filesystem::create_directories(folder_.File("a-b8"));
  for (const std::string& spelling : {folder_.File("a-b8"), folder_.File("a-b8/"),
                                      folder_.File("a-b8/."), folder_.File("x/../a-b8")}) {
    std::filesystem::create_directories(folder_.File("x"));
    SDAR_ASSERT_OK_AND_ASSIGN(const ModelLocation found, Locate(spelling));
    EXPECT_EQ(found.folder, spelling);
    EXPECT_EQ(found.name, "a-b8");
  }
}

TEST_F(ModelLocationTest, ANameIsTheSnapshotThatMainNames) {
  AddSnapshot("0123abcd");
  AddSnapshot("4567cdef");
  WriteMain("4567cdef\n");
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelLocation found, Locate(kName));
  EXPECT_EQ(found.folder, Snapshot("4567cdef"));
  EXPECT_EQ(found.name, kName);
}

TEST_F(ModelLocationTest, ASingleSnapshotNeedsNoMain) {
  AddSnapshot("0123abcd");
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelLocation found, Locate(kName));
  EXPECT_EQ(found.folder, Snapshot("0123abcd"));
}

TEST_F(ModelLocationTest, FoldersOfTheCacheHaveTheNameOfTheirModel) {
  AddSnapshot("0123abcd");
  WriteMain("0123abcd");
  for (const std::string& model :
       {Repository(), Repository() + "/", Snapshot("0123abcd"), Snapshot("0123abcd") + "/"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const ModelLocation found, Locate(model));
    EXPECT_EQ(found.name, kName) << model;
    EXPECT_TRUE(std::filesystem::equivalent(found.folder, Snapshot("0123abcd"))) << model;
  }
}

TEST_F(ModelLocationTest, SeveralSnapshotsWithoutMainAreNotGuessed) {
  AddSnapshot("0123abcd");
  AddSnapshot("4567cdef");
  EXPECT_THAT(Locate(kName), StatusIs(kNoModel, AllOf(HasSubstr("refs/main"), HasSubstr("2"))));
}

TEST_F(ModelLocationTest, AMainThatLeavesTheCacheIsNotFollowed) {
  AddSnapshot("0123abcd");
  AddSnapshot("4567cdef");
  WriteMain("../../..");
  EXPECT_THAT(Locate(kName), StatusIs(kNoModel, HasSubstr("refs/main")));
}

TEST_F(ModelLocationTest, WhatIsNotThereIsToldWhatFetchesIt) {
  const std::string fetch = std::string("hf download ") + kName;
  EXPECT_THAT(Locate(kName),
              StatusIs(kAbsentModel, AllOf(HasSubstr(folder_.path()), HasSubstr(fetch))));
  std::filesystem::create_directories(Repository());
  EXPECT_THAT(Locate(kName),
              StatusIs(kAbsentModel, AllOf(HasSubstr("no snapshot"), HasSubstr(fetch))));
  AddSnapshot("0123abcd");
  WriteMain("4567cdef");
  EXPECT_THAT(Locate(kName),
              StatusIs(kAbsentModel, AllOf(HasSubstr("4567cdef"), HasSubstr(fetch))));
  EXPECT_THAT(LocateModel(kName, ""), StatusIs(kAbsentModel, HasSubstr("HF_HUB_CACHE")));
}

TEST_F(ModelLocationTest, AnythingElseIsToldWhatAModelIs) {
  folder_.Write("file", "");
  EXPECT_THAT(Locate(folder_.File("file")), StatusIs(kNoModel, HasSubstr("found a file")));
  EXPECT_THAT(Locate(""), StatusIs(kNoModel, HasSubstr("folder")));
  for (const char* model : {"/nowhere", "a/b/c", "../x", "~/x", "a/", "a b/c"}) {
    EXPECT_THAT(Locate(model), StatusIs(kAbsentModel, HasSubstr("no such folder"))) << model;
  }
}

// Variables of this process, put back at the end.
class HubCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      saved_.emplace_back(name, value == nullptr ? std::optional<std::string>() : value);
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : saved_) {
      if (value) setenv(name, value->c_str(), 1);
      if (!value) unsetenv(name);
    }
  }

  static constexpr const char* kNames[] = {"HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"};
  std::vector<std::pair<const char*, std::optional<std::string>>> saved_;
};

TEST_F(HubCacheTest, TheMostParticularVariableDecides) {
  EXPECT_EQ(HubCacheFolder(), "");
  setenv("HOME", "/home/a", 1);
  EXPECT_EQ(HubCacheFolder(), "/home/a/.cache/huggingface/hub");
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(HubCacheFolder(), "/cache/huggingface/hub");
  setenv("HF_HOME", "/hf", 1);
  EXPECT_EQ(HubCacheFolder(), "/hf/hub");
  setenv("HF_HUB_CACHE", "/models", 1);
  EXPECT_EQ(HubCacheFolder(), "/models");
}

}  // namespace
}  // namespace sdar
