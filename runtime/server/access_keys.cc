// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/access_keys.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "common/json.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

// Shorter ones can be guessed.
constexpr size_t kSafeTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 512;
constexpr size_t kMaxKeysFileBytes = size_t{16} << 20;

bool IsToken(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccessKeys>> AccessKeys::Open(const std::string& path,
                                                             absl::Duration look_interval) {
  auto keys = std::unique_ptr<AccessKeys>(new AccessKeys(path, look_interval));
  absl::MutexLock lock(&keys->mutex_);
  SDAR_RETURN_IF_ERROR(keys->Read());
  return keys;
}

absl::Status AccessKeys::Read() {
  stamp_ = FileStamp::Of(path_);  // before the file: what is written meanwhile is seen next time
  const absl::StatusOr<std::string> text = ReadFile(path_, kMaxKeysFileBytes);
  if (!text.ok()) {
    return absl::NotFoundError(absl::StrCat("cannot read ", text.status().message()));
  }
  struct stat file = {};
  if (stat(path_.c_str(), &file) == 0 && (file.st_mode & S_IWOTH) != 0) {
    spdlog::warn("{}: everybody on this machine can write tokens to it", path_);
  }
  std::vector<Digest> digests;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (!IsToken(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": line ", number, ": expected a token of 1 .. ", kMaxTokenBytes,
                       " visible ASCII characters, got ", line.size(), " bytes"));
    }
    if (line.size() < kSafeTokenBytes) {
      spdlog::warn("{}: line {}: a token of {} characters can be guessed", path_, number,
                   line.size());
    }
    Digest& digest = digests.emplace_back();
    SHA256(reinterpret_cast<const unsigned char*>(line.data()), line.size(), digest.data());
  }
  if (digests.empty()) return absl::InvalidArgumentError(absl::StrCat(path_, " holds no token"));
  digests_ = std::move(digests);
  return absl::OkStatus();
}

void AccessKeys::ReadAgainIfChanged() {
  if (!look_.IsDue() || FileStamp::Of(path_) == stamp_) return;
  const absl::Status status = Read();
  if (status.ok()) return spdlog::info("tokens read again from {}", path_);
  digests_.clear();
  spdlog::error("nobody is let in: {}", std::string(status.message()));
}

absl::Status AccessKeys::Check(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) {
    return absl::UnauthenticatedError("expected the header Authorization: Bearer TOKEN");
  }
  const absl::string_view token = absl::StripAsciiWhitespace(authorization.substr(kScheme.size()));
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  absl::MutexLock lock(&mutex_);
  ReadAgainIfChanged();
  // All digests are compared, whole, whatever is found.
  int found = 0;
  for (const Digest& known : digests_) {
    found |= CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0 ? 1 : 0;
  }
  if (found != 0) return absl::OkStatus();
  return absl::UnauthenticatedError("the bearer token is not one that this server knows");
}

}  // namespace sdar
