// SPDX-License-Identifier: Apache-2.0
// For tests that do less where every access to memory is checked and takes many times as long.
#pragma once

namespace sdar {

#ifndef __has_feature  // GCC defines __SANITIZE_ADDRESS__ instead
#define __has_feature(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace sdar
