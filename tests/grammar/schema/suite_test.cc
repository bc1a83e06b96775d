// SPDX-License-Identifier: Apache-2.0
// The JSON-Schema-Test-Suite as Debian installs it (or in SDAR_SCHEMA_SUITE), and folders of
// schemas with texts.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

#include "runtime/grammar/schema/compile.h"
#include "tests/grammar/grammar_walk.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

constexpr char kSuite[] = "/usr/share/json-schema-test-suite/tests";

struct Tally {
  int schemas = 0;
  int compiled = 0;
};

void CheckGroup(const Json& group, const std::string& schema_uri, const std::string& where,
                Tally& tally) {
  Json schema = group["schema"];
  if (schema.is_object() && !schema.contains("$schema")) schema["$schema"] = schema_uri;
  ++tally.schemas;
  absl::StatusOr<Automaton> automaton = CompileJsonSchema(schema);
  if (!automaton.ok()) {
    // What no value satisfies is refused as well; then no text may be valid.
    if (!absl::StrContains(automaton.status().message(), "no value satisfies")) return;
    for (const Json& test : group["tests"]) EXPECT_FALSE(test["valid"].get<bool>()) << where;
    return;
  }
  ++tally.compiled;
  for (const Json& test : group["tests"]) {
    EXPECT_EQ(AcceptsText(*automaton, DumpJson(test["data"])), test["valid"].get<bool>())
        << where << ": " << DumpJson(schema) << " " << DumpJson(test["data"]);
  }
}

TEST(SuiteTest, SchemasThatCompileAcceptWhatTheSuiteCallsValid) {
  const char* elsewhere = std::getenv("SDAR_SCHEMA_SUITE");
  const std::filesystem::path suite = elsewhere == nullptr ? kSuite : elsewhere;
  if (!std::filesystem::exists(suite)) {
    GTEST_SKIP() << "json-schema-test-suite is not installed (packages-test.txt)";
  }
  const std::pair<const char*, const char*> drafts[] = {
      {"draft4", "http://json-schema.org/draft-04/schema#"},
      {"draft6", "http://json-schema.org/draft-06/schema#"},
      {"draft7", "http://json-schema.org/draft-07/schema#"}};
  for (const auto& [draft, uri] : drafts) {
    Tally tally;
    const std::filesystem::path folder = suite / draft;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().extension() != ".json") continue;
      SDAR_ASSERT_OK_AND_ASSIGN(const Json groups, ReadJsonFile(file.path()));
      for (const Json& group : groups) CheckGroup(group, uri, file.path(), tally);
    }
    EXPECT_GT(tally.compiled * 4, tally.schemas * 3) << draft;
  }
}

// SDAR_SCHEMA_DIR: a folder of .jsonl files, each line {"schema", "valid", "invalid"}.
TEST(SuiteTest, FolderOfSchemas) {
  const char* folder = std::getenv("SDAR_SCHEMA_DIR");
  if (folder == nullptr) GTEST_SKIP() << "SDAR_SCHEMA_DIR is not set";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".jsonl") continue;
    SDAR_ASSERT_OK_AND_ASSIGN(const std::string content, ReadFile(file.path()));
    for (const absl::string_view line : absl::StrSplit(content, '\n', absl::SkipEmpty())) {
      SDAR_ASSERT_OK_AND_ASSIGN(const Json record, ParseJson(line, "line", 128));
      if (!record.contains("schema")) continue;
      absl::StatusOr<Automaton> automaton = CompileJsonSchema(record["schema"]);
      if (!automaton.ok()) continue;
      for (const Json& text : record["valid"]) {
        EXPECT_TRUE(AcceptsText(*automaton, text.get<std::string>())) << record["id"] << text;
      }
      for (const Json& text : record["invalid"]) {
        EXPECT_FALSE(AcceptsText(*automaton, text.get<std::string>())) << record["id"] << text;
      }
      EXPECT_EQ(BrokenLaw(*automaton, 1, 40), "") << record["id"];
    }
  }
}

}  // namespace
}  // namespace sdar::grammar
