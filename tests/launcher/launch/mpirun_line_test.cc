// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/mpirun_line.h"

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

LaunchOptions Serve() {
  LaunchOptions options;
  options.command = {"sdar-serve", "--model=/m"};
  return options;
}

std::string Line(const LaunchOptions& options, const std::vector<Host>& hosts = {}) {
  const auto line = MpirunLine(options, hosts, /*as_root=*/false);
  EXPECT_TRUE(line.ok()) << line.status();
  return absl::StrJoin(line.value_or(std::vector<std::string>()), " ");
}

TEST(MpirunLineTest, OneMachineGetsAsManySlotsAsRanks) {
  LaunchOptions options = Serve();
  EXPECT_THAT(Line(options), EndsWith("--host localhost:1 -n 1 sdar-serve --model=/m"));
  options.ranks = 4;
  EXPECT_THAT(Line(options), EndsWith("--host localhost:4 -n 4 sdar-serve --model=/m"));
  EXPECT_THAT(Line(options), StartsWith("mpirun --bind-to none "));
}

TEST(MpirunLineTest, SeveralMachinesAreFilledInOrder) {
  const std::vector<Host> hosts = {{"a", 2}, {"b", 3}};
  LaunchOptions options = Serve();
  EXPECT_THAT(Line(options, hosts), HasSubstr("--host a:2,b:3 -n 5 "));
  options.ranks = 4;
  EXPECT_THAT(Line(options, hosts), HasSubstr("--host a:2,b:3 -n 4 "));
  options.ranks = 6;
  EXPECT_THAT(MpirunLine(options, hosts, false),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the 5 slots")));
}

TEST(MpirunLineTest, ALostMachineIsNoticedWithinSeconds) {
  EXPECT_THAT(Line(Serve()),
              HasSubstr("--mca oob_tcp_keepalive_time 1 --mca "
                        "oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3"));
}

TEST(MpirunLineTest, OptionsBecomeArguments) {
  LaunchOptions options = Serve();
  EXPECT_THAT(Line(options), Not(HasSubstr("plm_rsh_args")));
  options.ssh_args = "-F cfg";
  options.env = {"NCCL_DEBUG", "HF_HOME"};
  options.mpirun_args = {"--report-bindings"};
  EXPECT_THAT(Line(options), HasSubstr("--mca plm_rsh_args -F cfg"));
  EXPECT_THAT(Line(options), HasSubstr("-x NCCL_DEBUG -x HF_HOME --report-bindings --host"));
  EXPECT_THAT(*MpirunLine(options, {}, true), testing::Contains("--allow-run-as-root"));
}

TEST(MpirunLineTest, AShellReadsTheQuotedWordsBack) {
  EXPECT_EQ(ShellQuoted({"a", "b c", "it's", "", "--x=1,2"}), "a 'b c' 'it'\\''s' '' --x=1,2");
}

TEST(LaunchOptionsTest, WrongOptionsAreRefusedByName) {
  const auto error = [](auto change) {
    LaunchOptions options = Serve();
    change(options);
    return std::string(options.Validate().message());
  };
  EXPECT_THAT(error([](LaunchOptions& o) { o.command.clear(); }), HasSubstr("after --"));
  EXPECT_THAT(error([](LaunchOptions& o) { o.hosts = "a", o.lws_slots = 1; }),
              HasSubstr("one of --hosts, --hostfile and --lws-slots"));
  EXPECT_THAT(error([](LaunchOptions& o) { o.restart = "always"; }), HasSubstr("--restart"));
  EXPECT_THAT(error([](LaunchOptions& o) { o.ranks = -1; }), HasSubstr("--ranks"));
  EXPECT_THAT(error([](LaunchOptions& o) { o.stop_timeout_s = -1; }), HasSubstr("--stop-timeout"));
}

}  // namespace
}  // namespace sdar
