// SPDX-License-Identifier: Apache-2.0
// The byte-level alphabet of GPT-2 style vocabularies, in which every byte is one printable
// character (space is U+0120).
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// The bytes that `token`, a vocabulary entry, stands for. An entry with a character outside the
// alphabet stands for its own UTF-8, as in the byte-level decoder of Hugging Face tokenizers.
std::string BytesOfToken(absl::string_view token);

// The vocabulary's spelling of `bytes`; the inverse of BytesOfToken on the alphabet.
std::string TokenOfBytes(absl::string_view bytes);

}  // namespace sdar
