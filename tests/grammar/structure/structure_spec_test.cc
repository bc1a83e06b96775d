// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/structure/structure_spec.h"

#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

TEST(StructureSpecTest, ATextGivesTheValueBack) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kTools;
  spec.text = "{\"a\": \"\\u00e9\n\"}";
  spec.choices = {"x", ""};
  spec.tools = {{"f", "{}"}, {"g", ""}};
  spec.must_call = false;
  spec.many_calls = true;
  spec.after_thinking = true;
  const auto read = StructureSpec::FromText(spec.ToText());
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->kind, spec.kind);
  EXPECT_EQ(read->text, spec.text);
  EXPECT_EQ(read->choices, spec.choices);
  ASSERT_EQ(read->tools.size(), 2u);
  EXPECT_EQ(read->tools[0].name, "f");
  EXPECT_EQ(read->tools[0].parameters, "{}");
  EXPECT_EQ(read->tools[1].parameters, "");
  EXPECT_FALSE(read->must_call);
  EXPECT_TRUE(read->many_calls);
  EXPECT_TRUE(read->after_thinking);
  EXPECT_EQ(read->ToText(), spec.ToText());
}

TEST(StructureSpecTest, OtherTextsAreRefused) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"kind":9,"text":"","choices":[],"tools":[],"flags":0})",
        R"({"kind":1,"text":1,"choices":[],"tools":[],"flags":0})",
        R"({"kind":1,"text":"","choices":[1],"tools":[],"flags":0})",
        R"({"kind":1,"text":"","choices":[],"tools":[["a"]],"flags":0})"}) {
    EXPECT_FALSE(StructureSpec::FromText(text).ok()) << text;
  }
}

}  // namespace
}  // namespace sdar::grammar
