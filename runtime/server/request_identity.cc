// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/request_identity.h"

#include <algorithm>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;
constexpr size_t kIdentifierWords = 4;  // of 32 bits
// version "-" trace id "-" parent id "-" flags
constexpr size_t kTraceIdBegin = 3;
constexpr size_t kTraceIdSize = 32;
constexpr size_t kParentBegin = 36;
constexpr size_t kParentSize = 16;
constexpr size_t kFlagsBegin = 53;
constexpr size_t kTraceparentSize = 55;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); });
}

bool IsZero(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '0'; });
}

}  // namespace

std::string NewIdentifier() {
  std::random_device device;
  std::string id;
  for (size_t i = 0; i < kIdentifierWords; ++i) {
    absl::StrAppend(&id, absl::Hex(device(), absl::kZeroPad8));
  }
  return id;
}

std::string NewRequestId() { return absl::StrCat("request-", NewIdentifier()); }

bool IsPlainRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(),
                     [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
}

absl::Status BadRequestId() {
  return absl::InvalidArgumentError(
      absl::StrCat("request_id: expected 1 .. ", kMaxRequestIdBytes, " visible ASCII characters"));
}

TraceParent ParseTraceParent(absl::string_view traceparent) {
  if (traceparent.size() < kTraceparentSize) return {};
  const absl::string_view version = traceparent.substr(0, 2);
  const absl::string_view trace_id = traceparent.substr(kTraceIdBegin, kTraceIdSize);
  const absl::string_view parent = traceparent.substr(kParentBegin, kParentSize);
  const absl::string_view flags = traceparent.substr(kFlagsBegin, 2);
  const bool parted = traceparent[kTraceIdBegin - 1] == '-' &&
                      traceparent[kParentBegin - 1] == '-' && traceparent[kFlagsBegin - 1] == '-';
  const bool hex = IsHex(version) && IsHex(trace_id) && IsHex(parent) && IsHex(flags);
  if (!parted || !hex || version == "ff" || IsZero(trace_id) || IsZero(parent)) return {};
  if (traceparent.size() > kTraceparentSize &&
      (version == "00" || traceparent[kTraceparentSize] != '-')) {
    return {};
  }
  // Bit 0 of the flags.
  const bool sampled = absl::StrContains("13579bdf", flags[1]);
  return {std::string(trace_id), std::string(parent), sampled};
}

}  // namespace sdar
