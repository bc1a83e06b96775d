// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "common/utf8.h"

namespace sdar {
namespace {

constexpr char32_t kAlphabetEnd = 0x144;  // characters of the alphabet lie below

// Printable Latin-1 characters stand for their own byte.
constexpr bool IsOwnCharacter(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> character_of_byte{};
  std::array<int16_t, kAlphabetEnd> byte_of_character{};  // -1: not in the alphabet
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  alphabet.byte_of_character.fill(-1);
  char32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const char32_t character = IsOwnCharacter(byte) ? byte : next++;
    alphabet.character_of_byte[byte] = character;
    alphabet.byte_of_character[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

std::string BytesOfToken(absl::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t i = 0; i < token.size();) {
    const Utf8Step step = ReadUtf8(token, i);
    if (!step.valid || step.code_point >= kAlphabetEnd ||
        kAlphabet.byte_of_character[step.code_point] < 0) {
      return std::string(token);
    }
    bytes.push_back(static_cast<char>(kAlphabet.byte_of_character[step.code_point]));
    i += step.length;
  }
  return bytes;
}

std::string TokenOfBytes(absl::string_view bytes) {
  std::string token;
  for (const char byte : bytes) {
    AppendUtf8(kAlphabet.character_of_byte[static_cast<uint8_t>(byte)], token);
  }
  return token;
}

}  // namespace sdar
