// SPDX-License-Identifier: Apache-2.0
// Who may call: the bearer tokens of a file.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "runtime/server/file_stamp.h"

namespace sdar {

// Thread-safe. The file holds a token a line, 1 .. 512 visible ASCII characters; # begins a
// comment line. It is read again when it has changed, so that tokens can be rotated and revoked. A
// file that has become wrong, empty or is gone lets nobody in, with an error in the log, until it
// is right again.
class AccessKeys {
 public:
  // NotFound when the file cannot be read; InvalidArgument names the line that is no token, or says
  // that there is none. Tokens are never part of a message.
  // The file is looked at again when `look_interval` has passed.
  static absl::StatusOr<std::unique_ptr<AccessKeys>> Open(
      const std::string& path, absl::Duration look_interval = absl::Seconds(1));

  // OK for the value "Bearer TOKEN" of an Authorization header whose token is one of the file's,
  // else Unauthenticated. Takes the same time for every wrong token of a length.
  absl::Status Check(absl::string_view authorization);

 private:
  using Digest = std::array<unsigned char, 32>;

  AccessKeys(std::string path, absl::Duration look_interval)
      : path_(std::move(path)), look_(absl::ToChronoNanoseconds(look_interval)) {}
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadAgainIfChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  absl::Mutex mutex_;
  std::vector<Digest> digests_ ABSL_GUARDED_BY(mutex_);
  FileStamp stamp_ ABSL_GUARDED_BY(mutex_);  // of the last file read, good or not
  LookTimer look_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar
