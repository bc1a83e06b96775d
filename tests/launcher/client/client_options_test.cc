// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_options.h"

#include <set>
#include <string>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "launcher/flags/flag_rows.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<GenerateRequest> Parse(std::vector<std::string> arguments) {
  ClientOptions options;
  FlagSpec spec;
  spec.positional = "message";
  AddClientFlags(options, spec);
  arguments.insert(arguments.begin(), "sdar-client");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  const auto outcome = ParseFlags(spec, static_cast<int>(argv.size()), argv.data());
  if (!outcome.ok()) return outcome.status();
  return MakeRequest(options);
}

TEST(ClientOptionsTest, AbsentFlagsAreNotSent) {
  SDAR_ASSERT_OK_AND_ASSIGN(const GenerateRequest request, Parse({"hello"}));
  EXPECT_TRUE(request.sampling().SerializeAsString().empty());
  EXPECT_TRUE(request.stopping().SerializeAsString().empty());
  EXPECT_TRUE(request.output().SerializeAsString().empty());
}

TEST(ClientOptionsTest, ZeroIsSent) {
  SDAR_ASSERT_OK_AND_ASSIGN(const GenerateRequest request,
                            Parse({"--temperature=0", "--logprobs=0", "--top-k=0"}));
  EXPECT_TRUE(request.sampling().has_temperature());
  EXPECT_TRUE(request.sampling().has_top_k());
  EXPECT_TRUE(request.output().has_logprobs());
}

TEST(ClientOptionsTest, EveryFieldArrives) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const GenerateRequest request,
      Parse({"--top-p=0.5", "--seed=18446744073709551615", "--remasking-strategy=entropy_bounded",
             "--stop=a", "--stop=b c", "--stop-token-ids=7,11", "--ignore-eos", "--system=be brief",
             "--watch", "--max-tokens=9", "--drafts=auto", "--priority=-3", "--logprobs=2",
             "--skip-special-tokens=false"}));
  EXPECT_FLOAT_EQ(request.sampling().top_p(), 0.5f);
  EXPECT_EQ(request.sampling().seed(), ~uint64_t{0});
  EXPECT_EQ(request.sampling().remasking_strategy(), sdar::v1::ENTROPY_BOUNDED);
  EXPECT_THAT(request.stopping().stop(), ElementsAre("a", "b c"));
  EXPECT_THAT(request.stopping().stop_token_ids(), ElementsAre(7, 11));
  EXPECT_TRUE(request.stopping().ignore_eos());
  EXPECT_EQ(request.stopping().max_tokens(), 9u);
  EXPECT_TRUE(request.output().provisional());
  EXPECT_EQ(request.scheduling().drafts(), -1);
  EXPECT_EQ(request.scheduling().priority(), -3);
  EXPECT_EQ(request.output().logprobs(), 2u);
  EXPECT_FALSE(request.output().skip_special_tokens());
  ASSERT_EQ(request.chat().messages_size(), 1);
  EXPECT_EQ(request.chat().messages(0).role(), "system");
}

TEST(ClientOptionsTest, EveryFieldOfTheRequestHasAFlag) {
  // --watch and --timeout say two of them; biases of tokens are for programs.
  const std::set<std::string> without = {"provisional", "timeout_seconds", "logit_bias"};
  ClientOptions options;
  FlagSpec spec;
  AddClientFlags(options, spec);
  std::set<std::string> flags;
  for (const FlagRow& row : RowsOf(spec)) flags.insert(row.name);
  for (const auto* group :
       {sdar::v1::SamplingParameters::descriptor(), sdar::v1::StoppingParameters::descriptor(),
        sdar::v1::OutputParameters::descriptor(), sdar::v1::SchedulingParameters::descriptor()}) {
    for (int i = 0; i < group->field_count(); ++i) {
      const std::string& field = group->field(i)->name();
      const std::string flag = absl::StrReplaceAll(field, {{"_", "-"}});
      EXPECT_EQ(flags.count(flag), 1 - without.count(field)) << flag;
    }
  }
}

TEST(ClientOptionsTest, SwitchLeavesTheNextWordToTheMessage) {
  SDAR_ASSERT_OK_AND_ASSIGN(const GenerateRequest request, Parse({"--watch", "What", "is"}));
  EXPECT_TRUE(request.output().provisional());
  SDAR_ASSERT_OK_AND_ASSIGN(const GenerateRequest off, Parse({"--watch=false", "What"}));
  EXPECT_FALSE(off.output().provisional());
}

TEST(ClientOptionsTest, BadFlagsAreNamed) {
  EXPECT_THAT(Parse({"--n=-1"}), StatusIs(kInvalid, HasSubstr("--n")));
  EXPECT_THAT(Parse({"--top-k=x"}), StatusIs(kInvalid, HasSubstr("--top-k")));
  EXPECT_THAT(Parse({"--seed=-3"}), StatusIs(kInvalid, HasSubstr("--seed")));
  EXPECT_THAT(Parse({"--stop-token-ids=7,x"}), StatusIs(kInvalid, HasSubstr("--stop-token-ids")));
  EXPECT_THAT(Parse({"--remasking-strategy=best"}), StatusIs(kInvalid, HasSubstr("'best'")));
  EXPECT_THAT(Parse({"--stop=\xff"}), StatusIs(kInvalid, HasSubstr("--stop")));
  EXPECT_THAT(Parse({"--timeout=-1"}), StatusIs(kInvalid, HasSubstr("--timeout")));
  EXPECT_THAT(Parse({"--watch-delay=9999"}), StatusIs(kInvalid, HasSubstr("--watch-delay")));
  EXPECT_THAT(Parse({"--no-such"}), StatusIs(kInvalid, HasSubstr("--no-such")));
}

TEST(ClientOptionsTest, FlagsThatExcludeEachOtherAreNamed) {
  EXPECT_THAT(Parse({"--watch", "--json"}), StatusIs(kInvalid, HasSubstr("--watch and --json")));
  EXPECT_THAT(Parse({"--watch", "--n=2"}), StatusIs(kInvalid, HasSubstr("--watch")));
  EXPECT_THAT(Parse({"hi", "--prompt=x"}), StatusIs(kInvalid, HasSubstr("--prompt")));
  EXPECT_THAT(Parse({"--system=a", "--prompt=x"}), StatusIs(kInvalid, HasSubstr("--system")));
  EXPECT_THAT(Parse({"--tools=a", "--prompt=x"}), StatusIs(kInvalid, HasSubstr("--tools")));
  EXPECT_THAT(Parse({"--chat", "hi"}), StatusIs(kInvalid, HasSubstr("--chat")));
  EXPECT_THAT(Parse({"--status", "--info"}), StatusIs(kInvalid, HasSubstr("--status")));
}

}  // namespace
}  // namespace sdar
