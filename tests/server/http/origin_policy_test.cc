// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/origin_policy.h"

#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

HttpRequest From(const std::string& host, const std::string& origin = "") {
  HttpRequest request;
  request.host = host;
  request.origin = origin;
  return request;
}

TEST(OriginPolicyTest, OnOneMachineOnlyLocalNamesAreRight) {
  const auto policy = OriginPolicy::Create("", true, {"my-name"});
  for (const char* host : {"localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.1.2.3", "[::1]",
                           "[::1]:8000", "a.localhost", "my-name:80", ""}) {
    EXPECT_TRUE(policy->Check(From(host)).ok()) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "127.bad.de",
                           "localhost.evil.example", "10.0.0.1", "[::2]", "[", "evil"}) {
    EXPECT_EQ(policy->Check(From(host)).code(), absl::StatusCode::kPermissionDenied) << host;
  }
}

TEST(OriginPolicyTest, WhereEverybodyMayConnectAnyNameIsRight) {
  const auto policy = OriginPolicy::Create("", false, {});
  EXPECT_TRUE(policy->Check(From("models.example.org")).ok());
  EXPECT_TRUE(policy->Check(From("models.example.org", "https://chat.example.org")).ok());
}

TEST(OriginPolicyTest, AListOfOriginsBindsEverywhere) {
  const auto policy = OriginPolicy::Create("https://Chat.example.org/, http://a:1", false, {});
  EXPECT_TRUE(policy->Check(From("m", "https://chat.example.org")).ok());
  EXPECT_TRUE(policy->Check(From("m", "http://a:1")).ok());
  EXPECT_TRUE(policy->Check(From("m", "https://m")).ok());
  EXPECT_FALSE(policy->Check(From("m", "http://a:2")).ok());
  EXPECT_FALSE(policy->Check(From("m", "null")).ok());
  EXPECT_TRUE(policy->AnswerFields(From("m", "https://m")).empty());
  EXPECT_FALSE(policy->AnswerFields(From("m", "http://a:1")).empty());
}

TEST(OriginPolicyTest, AStarIsEverybody) {
  const auto policy = OriginPolicy::Create("*", true, {});
  EXPECT_TRUE(policy->Check(From("evil.example", "http://evil.example")).ok());
  EXPECT_FALSE(policy->AnswerFields(From("m", "http://a:1")).empty());
}

TEST(OriginPolicyTest, WhatIsNoOriginIsRefused) {
  for (const char* text :
       {"chat.example.org", "https://", "https://a/b", "ftp://a", "https://a b"}) {
    EXPECT_EQ(OriginPolicy::Create(text, true, {}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace sdar
