// SPDX-License-Identifier: Apache-2.0
// GoogleTest matchers for absl::Status and absl::StatusOr (abseil 20220623 has none).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

// EXPECT_THAT(value, IsOk())
MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// EXPECT_THAT(value, StatusIs(absl::StatusCode::kNotFound, HasSubstr("model.norm.weight")))
MATCHER_P2(StatusIs, code, message, "has the status code and a matching message") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(message, std::string(StatusOf(arg).message()),
                                       result_listener);
}

}  // namespace sdar

// Asserts that `expr`, a StatusOr, is OK and moves its value into `lhs`.
#define SDAR_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  SDAR_ASSERT_OK_AND_ASSIGN_(SDAR_TEST_CONCAT_(sdar_value_, __LINE__), lhs, expr)
#define SDAR_ASSERT_OK_AND_ASSIGN_(var, lhs, expr) \
  auto var = (expr);                               \
  ASSERT_TRUE(var.ok()) << var.status();           \
  lhs = std::move(var).value()
#define SDAR_TEST_CONCAT_INNER_(a, b) a##b
#define SDAR_TEST_CONCAT_(a, b) SDAR_TEST_CONCAT_INNER_(a, b)
