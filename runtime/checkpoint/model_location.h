// SPDX-License-Identifier: Apache-2.0
// Where a model lies and what it is called: a folder, or a name in the local Hugging Face cache.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sdar {

struct ModelLocation {
  std::string folder;  // of its files
  std::string name;    // "ORGANISATION/MODEL" where it is in a cache, else the folder's last name
};

// OK when `path` is a folder. Otherwise InvalidArgument or NotFound says what a model folder is.
absl::Status CheckModelFolder(const std::string& path);

// The cache's folder: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
// ~/.cache/huggingface/hub, the first whose variable is set; empty when none is.
std::string HubCacheFolder();

// Finds `model`: a folder; a folder models--ORGANISATION--MODEL of a cache, or one of its
// snapshots; or a name ORGANISATION/MODEL in `cache`. A name or a folder of a cache means the
// snapshot that refs/main names, or the only one. Nothing is ever fetched: NotFound then says
// which command fetches. Reads the file system.
absl::StatusOr<ModelLocation> LocateModel(const std::string& model,
                                          const std::string& cache = HubCacheFolder());

}  // namespace sdar
