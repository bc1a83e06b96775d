// SPDX-License-Identifier: Apache-2.0
// The two status macros and the check that all rooms use.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns the status of `expr` from the enclosing function unless it is OK.
#define SDAR_RETURN_IF_ERROR(expr)                                                   \
  do {                                                                               \
    if (absl::Status sdar_status_ = (expr); !sdar_status_.ok()) return sdar_status_; \
  } while (false)

#define SDAR_CONCAT_INNER_(a, b) a##b
#define SDAR_CONCAT_(a, b) SDAR_CONCAT_INNER_(a, b)

// Evaluates `expr`, a StatusOr; assigns its value to `lhs` or returns its status from the enclosing
// function.
#define SDAR_ASSIGN_OR_RETURN(lhs, expr) \
  SDAR_ASSIGN_OR_RETURN_INNER_(SDAR_CONCAT_(sdar_status_or_, __LINE__), lhs, expr)
#define SDAR_ASSIGN_OR_RETURN_INNER_(var, lhs, expr) \
  auto var = (expr);                                 \
  if (!var.ok()) return var.status();                \
  lhs = std::move(var).value()

// Ends the process with the place and the condition when one of our own invariants does not hold.
#define SDAR_CHECK(condition)                                                            \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
