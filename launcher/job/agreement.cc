// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/agreement.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// A status as bytes that every rank can exchange.
struct StatusRecord {
  int32_t code = 0;
  char message[1020] = {};
};

template <typename T>
absl::StatusOr<std::vector<T>> Gather(Communicator& communicator, const T& mine) {
  const auto ranks = static_cast<size_t>(communicator.size());
  const std::vector<int64_t> bytes(ranks, static_cast<int64_t>(sizeof(T)));
  std::vector<T> all(ranks);
  SDAR_RETURN_IF_ERROR(communicator.AllGather(&mine, bytes, all.data()));
  return all;
}

// FNV-1a: the same in every process, which absl::Hash is not.
uint64_t StableHash(absl::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

absl::Status AgreeOnStatus(Communicator& communicator, const absl::Status& mine) {
  StatusRecord record;
  record.code = static_cast<int32_t>(mine.code());
  const std::string message(mine.message());  // never null, unlike the view of an OK status's
  std::memcpy(record.message, message.data(), std::min(message.size(), sizeof record.message - 1));
  SDAR_ASSIGN_OR_RETURN(const std::vector<StatusRecord> all, Gather(communicator, record));
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].code == 0) continue;
    const std::string where = r == 0 ? "" : absl::StrCat("rank ", r, ": ");
    return absl::Status(static_cast<absl::StatusCode>(all[r].code),
                        absl::StrCat(where, all[r].message));
  }
  return absl::OkStatus();
}

absl::Status AgreeOnValues(Communicator& communicator,
                           const std::vector<std::pair<std::string, std::string>>& items) {
  for (const auto& [what, value] : items) {
    SDAR_ASSIGN_OR_RETURN(const std::vector<uint64_t> all, Gather(communicator, StableHash(value)));
    for (size_t r = 1; r < all.size(); ++r) {
      if (all[r] == all[0]) continue;
      return absl::FailedPreconditionError(absl::StrCat("ranks 0 and ", r, " differ in ", what,
                                                        "; rank ", communicator.rank(), " has '",
                                                        value, "'"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MinimumOverRanks(Communicator& communicator, int64_t mine) {
  SDAR_ASSIGN_OR_RETURN(const std::vector<int64_t> all, Gather(communicator, mine));
  return *std::min_element(all.begin(), all.end());
}

absl::StatusOr<std::vector<std::string>> GatherStrings(Communicator& communicator,
                                                       const std::string& mine) {
  struct Text {
    char bytes[256] = {};
  } text;
  std::memcpy(text.bytes, mine.data(), std::min(mine.size(), sizeof text.bytes - 1));
  SDAR_ASSIGN_OR_RETURN(const std::vector<Text> all, Gather(communicator, text));
  std::vector<std::string> out;
  for (const Text& t : all) out.emplace_back(t.bytes);
  return out;
}

}  // namespace sdar
