// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ClientReportTest, StatusBeginsWithWhyTheServerIsUnhealthy) {
  sdar::v1::GetStatusResponse status;
  EXPECT_THAT(Describe(status), Not(HasSubstr("unhealthy")));
  status.set_unhealthy("rank 1 is silent\x1b[2J");
  EXPECT_THAT(Describe(status), StartsWith("unhealthy   rank 1 is silent\uFFFD[2J\nsequences"));
}

}  // namespace
}  // namespace sdar
