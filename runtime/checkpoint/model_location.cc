// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/model_location.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

#include "common/json.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

namespace fs = std::filesystem;

constexpr char kWhatLoads[] =
    "a model is a folder that holds config.json and model.safetensors (or its shards)";
constexpr absl::string_view kRepositoryPrefix = "models--";
// The longest name of a revision, a branch or a commit.
constexpr size_t kLongestRevision = 256;

// ORGANISATION/MODEL as model hubs write it; both are letters, digits, '-', '_' and '.'.
bool IsHubName(absl::string_view name) {
  const size_t slash = name.find('/');
  if (slash == absl::string_view::npos || slash == 0 || slash + 1 == name.size()) return false;
  if (name[0] == '.' || name[slash + 1] == '.') return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (i != slash && !absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' &&
        c != '.') {
      return false;
    }
  }
  return true;
}

// "models--JetLM--SDAR-8B-Chat" is "JetLM/SDAR-8B-Chat"; empty where it is no such folder.
std::string NameOfRepository(const fs::path& folder) {
  const std::string last = folder.filename().string();
  absl::string_view name = last;
  if (!absl::ConsumePrefix(&name, kRepositoryPrefix)) return "";
  return absl::StrReplaceAll(name, {{"--", "/"}});
}

fs::path Normal(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  fs::path normal = (error ? fs::path(path) : absolute).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();  // a trailing slash
}

// The revision that refs/main names, where the file is as the cache writes it.
std::optional<std::string> MainRevision(const fs::path& repository) {
  const auto text = ReadFile((repository / "refs" / "main").string(), kLongestRevision);
  if (!text.ok()) return std::nullopt;
  std::string revision(absl::StripAsciiWhitespace(*text));
  const bool is_name =
      !revision.empty() && std::all_of(revision.begin(), revision.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c));
      });
  if (!is_name) return std::nullopt;
  return revision;
}

std::vector<fs::path> Snapshots(const fs::path& repository) {
  std::vector<fs::path> snapshots;
  std::error_code error;
  for (fs::directory_iterator entry(repository / "snapshots", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_directory(error)) snapshots.push_back(entry->path());
  }
  return snapshots;
}

std::string HowToFetch(const std::string& name) {
  return absl::StrCat("nothing is fetched here; fetch it with: hf download ", name);
}

absl::StatusOr<ModelLocation> FindSnapshot(const fs::path& repository, const std::string& name) {
  std::error_code error;
  if (const std::optional<std::string> revision = MainRevision(repository)) {
    const fs::path snapshot = repository / "snapshots" / *revision;
    if (fs::is_directory(snapshot, error)) return ModelLocation{snapshot.string(), name};
    return absl::NotFoundError(absl::StrCat(repository.string(), ": refs/main names the snapshot ",
                                            *revision, ", which is not there; ", HowToFetch(name)));
  }
  const std::vector<fs::path> snapshots = Snapshots(repository);
  if (snapshots.size() == 1) return ModelLocation{snapshots[0].string(), name};
  if (snapshots.empty()) {
    return absl::NotFoundError(
        absl::StrCat(repository.string(), ": holds no snapshot; ", HowToFetch(name)));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(repository.string(), ": expected a readable refs/main or one snapshot, found ",
                   snapshots.size(), " snapshots; give the folder of one of them"));
}

// `folder` exists.
absl::StatusOr<ModelLocation> LocateFolder(const std::string& folder) {
  const fs::path path = Normal(folder);
  if (const std::string name = NameOfRepository(path); !name.empty()) {
    std::error_code error;
    if (fs::is_directory(path / "snapshots", error)) return FindSnapshot(path, name);
  }
  if (path.parent_path().filename() == "snapshots") {
    const std::string name = NameOfRepository(path.parent_path().parent_path());
    if (!name.empty()) return ModelLocation{folder, name};
  }
  return ModelLocation{folder, path.filename().string()};
}

absl::StatusOr<ModelLocation> LocateName(const std::string& name, const std::string& cache) {
  const fs::path repository =
      fs::path(cache) / absl::StrCat(kRepositoryPrefix, absl::StrReplaceAll(name, {{"/", "--"}}));
  std::error_code error;
  if (!cache.empty() && fs::is_directory(repository, error)) return FindSnapshot(repository, name);
  return absl::NotFoundError(
      absl::StrCat(name, ": no such folder, and no model of this name in the cache ",
                   cache.empty() ? "(neither HF_HUB_CACHE, HF_HOME nor HOME is set)" : cache, "; ",
                   kWhatLoads, "; ", HowToFetch(name)));
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::Status CheckModelFolder(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no model folder is named; ", kWhatLoads));
  }
  std::error_code error;
  const auto status = fs::status(path, error);
  if (fs::is_directory(status)) return absl::OkStatus();
  if (fs::exists(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected a folder, found a file; ", kWhatLoads));
  }
  return absl::NotFoundError(absl::StrCat(path, ": no such folder; ", kWhatLoads));
}

std::string HubCacheFolder() {
  if (std::string cache = Variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = Variable("HF_HOME"); !home.empty()) return home + "/hub";
  if (const std::string cache = Variable("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/huggingface/hub";
  }
  const std::string home = Variable("HOME");
  return home.empty() ? "" : home + "/.cache/huggingface/hub";
}

absl::StatusOr<ModelLocation> LocateModel(const std::string& model, const std::string& cache) {
  const absl::Status folder = CheckModelFolder(model);
  if (folder.ok()) return LocateFolder(model);
  if (absl::IsNotFound(folder) && IsHubName(model)) return LocateName(model, cache);
  return folder;
}

}  // namespace sdar
