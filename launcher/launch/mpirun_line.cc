// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/mpirun_line.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace sdar {
namespace {

void Set(std::vector<std::string>& line, const std::string& name, const std::string& value) {
  line.insert(line.end(), {"--mca", name, value});
}

void SetNetwork(const LaunchOptions& options, std::vector<std::string>& line) {
  // mpirun must miss a lost machine before the ranks do (five seconds): once it has written to the
  // dead connection, TCP repeats that for a quarter of an hour.
  Set(line, "oob_tcp_keepalive_time", "1");
  Set(line, "oob_tcp_keepalive_intvl", "1");
  Set(line, "oob_tcp_keepalive_probes", "3");
  Set(line, "orte_keep_fqdn_hostnames", "1");  // names of pods are cut at the first dot otherwise
  Set(line, "orte_startup_timeout", "300");    // seconds until all machines' daemons have answered
  if (!options.ssh_args.empty()) Set(line, "plm_rsh_args", options.ssh_args);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MpirunLine(const LaunchOptions& options,
                                                    const std::vector<Host>& hosts, bool as_root) {
  const int slots = hosts.empty() ? std::max(1, options.ranks) : TotalSlots(hosts);
  const int ranks = options.ranks == 0 ? slots : options.ranks;
  if (ranks > slots) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ranks: expected at most the ", slots, " slots of the hosts, got ", ranks));
  }
  std::vector<std::string> line = {options.mpirun};
  if (as_root) line.emplace_back("--allow-run-as-root");
  line.insert(line.end(), {"--bind-to", "none"});  // ranks place their threads themselves
  // Shared memory and plain TCP, whatever the machine's other fabrics are. Between the ranks of one
  // host there is no TCP: Open MPI would listen on all of its addresses.
  Set(line, "pml", "ob1");
  Set(line, "btl", hosts.size() <= 1 ? "self,vader" : "self,vader,tcp");
  SetNetwork(options, line);
  for (const std::string& name : options.env) line.insert(line.end(), {"-x", name});
  line.insert(line.end(), options.mpirun_args.begin(), options.mpirun_args.end());
  std::vector<std::string> places;
  for (const Host& host : hosts) places.push_back(absl::StrCat(host.name, ":", host.slots));
  if (hosts.empty()) places.push_back(absl::StrCat("localhost:", slots));
  line.insert(line.end(), {"--host", absl::StrJoin(places, ","), "-n", absl::StrCat(ranks)});
  line.insert(line.end(), options.command.begin(), options.command.end());
  return line;
}

std::string ShellQuoted(const std::vector<std::string>& words) {
  return absl::StrJoin(words, " ", [](std::string* out, const std::string& word) {
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
             std::string("-_=./:,@%+").find(c) != std::string::npos;
    });
    if (plain) return absl::StrAppend(out, word);
    absl::StrAppend(out, "'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
  });
}

}  // namespace sdar
