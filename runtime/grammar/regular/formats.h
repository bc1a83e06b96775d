// SPDX-License-Identifier: Apache-2.0
// The formats of JSON Schema as regular languages.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

#include "runtime/grammar/regular/dfa.h"

namespace sdar::grammar {

// The texts that have the format `name`, which is written as JSON Schema has it: date, time,
// date-time, duration, email, idn-email, hostname, idn-hostname, ipv4, ipv6, uuid, uri,
// uri-reference, iri, iri-reference, uri-template, json-pointer, relative-json-pointer, regex.
// nullopt for every other name.
//
// Every text of the language has the format. Not all that have it are in the language where
// validators differ or the format is not regular: date-time has an upper-case T and Z and no leap
// seconds, a hostname no dot at its end, idn-hostname the letters of common scripts, regex groups
// three deep. Takes up to a few milliseconds. Thread-safe.
std::optional<Dfa> FormatDfa(absl::string_view name);

}  // namespace sdar::grammar
