// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(InstructionSetTest, EveryNameOfThisMachineParses) {
  for (const InstructionSet set : InstructionSetsHere()) {
    SDAR_ASSERT_OK_AND_ASSIGN(const InstructionSet parsed, ParseInstructionSet(Name(set)));
    EXPECT_EQ(parsed, set);
    EXPECT_EQ(Name(set), absl::string_view(KernelsFor(set).name));
  }
}

TEST(InstructionSetTest, AnUnknownNameIsRefusedWithThoseOfThisMachine) {
  EXPECT_THAT(ParseInstructionSet("sse9"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'sse9'"), HasSubstr("portable"))));
  EXPECT_FALSE(ParseInstructionSet("").ok());
  EXPECT_FALSE(ParseInstructionSet("AVX2").ok());
}

}  // namespace
}  // namespace sdar
