// SPDX-License-Identifier: Apache-2.0
// For tests that do less where every access to memory is checked and takes many times as long.
#pragma once

namespace sdar {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace sdar
