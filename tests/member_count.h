// SPDX-License-Identifier: Apache-2.0
// How many members an aggregate has, for tests that a list of them is complete.
#pragma once

#include <cstddef>
#include <utility>

namespace sdar {

// Stands for a value of any type in an expression that is not evaluated.
struct AnyValue {
  template <typename T>
  operator T&&() const;  // NOLINT(google-explicit-constructor)
};

template <typename T, size_t... I>
constexpr bool IsMadeOf(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyValue())...}; };
}

// The number of members of aggregate T: the most values that T{..} takes. At most 64.
template <typename T, size_t kMost = 64>
constexpr size_t MemberCount() {
  if constexpr (IsMadeOf<T>(std::make_index_sequence<kMost>())) {
    return kMost;
  } else {
    return MemberCount<T, kMost - 1>();
  }
}

}  // namespace sdar
