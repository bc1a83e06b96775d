// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/hosts.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr int kMaxSlots = 1024;
constexpr int kMaxHosts = 4096;

absl::StatusOr<int> ParseCount(absl::string_view text, absl::string_view what, int max) {
  int count = 0;
  if (absl::SimpleAtoi(text, &count) && count >= 1 && count <= max) return count;
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": expected 1 .. ", max, ", got '", text, "'"));
}

// A name that a command line can hold: no spaces, no leading dash, nothing that mpirun reads as
// more than a name.
absl::Status CheckName(absl::string_view name, absl::string_view where) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
  if (plain && !name.empty() && name[0] != '-') return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": expected the name or IPv4 address of a host, got '", name, "'"));
}

absl::Status Add(Host host, absl::string_view where, std::vector<Host>& hosts) {
  SDAR_RETURN_IF_ERROR(CheckName(host.name, where));
  for (const Host& other : hosts) {
    if (other.name != host.name) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": '", host.name, "' stands there twice"));
  }
  hosts.push_back(std::move(host));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Host>> ParseHosts(absl::string_view list) {
  std::vector<Host> hosts;
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(item, absl::MaxSplits(':', 1));
    Host host{std::string(parts[0])};
    if (parts.size() == 2) {
      SDAR_ASSIGN_OR_RETURN(host.slots,
                            ParseCount(parts[1], absl::StrCat("--hosts: ", parts[0]), kMaxSlots));
    }
    SDAR_RETURN_IF_ERROR(Add(std::move(host), "--hosts", hosts));
  }
  return hosts;
}

absl::StatusOr<std::vector<Host>> ParseHostfile(absl::string_view text, absl::string_view path) {
  std::vector<Host> hosts;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::string where = absl::StrCat(path, ": line ", ++number);
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    Host host{std::string(words[0])};
    for (size_t i = 1; i < words.size(); ++i) {
      absl::string_view slots = words[i];
      if (!absl::ConsumePrefix(&slots, "slots=")) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, ": expected NAME slots=N, got '", words[i], "'"));
      }
      SDAR_ASSIGN_OR_RETURN(host.slots, ParseCount(slots, where, kMaxSlots));
    }
    SDAR_RETURN_IF_ERROR(Add(std::move(host), where, hosts));
  }
  if (hosts.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " names no host"));
  return hosts;
}

absl::StatusOr<std::vector<Host>> LeaderWorkerSetHosts(const char* leader_address,
                                                       const char* group_size, int slots) {
  if (leader_address == nullptr || group_size == nullptr) {
    return absl::InvalidArgumentError(
        "--lws-slots: expected LWS_LEADER_ADDRESS and LWS_GROUP_SIZE in the environment, as a "
        "LeaderWorkerSet sets them");
  }
  SDAR_ASSIGN_OR_RETURN(const int size, ParseCount(group_size, "LWS_GROUP_SIZE", kMaxHosts));
  const std::vector<std::string> parts = absl::StrSplit(leader_address, absl::MaxSplits('.', 1));
  const std::string domain = parts.size() == 2 ? absl::StrCat(".", parts[1]) : "";
  std::vector<Host> hosts;
  SDAR_RETURN_IF_ERROR(Add({leader_address, slots}, "LWS_LEADER_ADDRESS", hosts));
  for (int i = 1; i < size; ++i) hosts.push_back({absl::StrCat(parts[0], "-", i, domain), slots});
  return hosts;
}

int TotalSlots(const std::vector<Host>& hosts) {
  int total = 0;
  for (const Host& host : hosts) total += host.slots;
  return total;
}

}  // namespace sdar
