// SPDX-License-Identifier: Apache-2.0
// Man pages, written from the tables of flags.
#pragma once

#include <string>

#include "launcher/flags/flags.h"

namespace sdar {

// The page of section 1 in man(7)'s language. `date` is the one in its footer: "2026-11-29".
std::string ManPage(const FlagSpec& spec, const std::string& date);

// `text` as man(7) prints it to the letter, whatever it contains.
std::string RoffText(absl::string_view text);

}  // namespace sdar
