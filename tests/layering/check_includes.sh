#!/usr/bin/env bash
# Reads every `#include "..."` of the tree against the table of rooms in docs/design.md, section 2:
#   tests/layering/check_includes.sh [ROOT]
# Prints each forbidden arrow as FILE:LINE and fails when there is one.
set -euo pipefail

root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$root"

files=()
while IFS= read -r file; do
  files+=("${file#./}")
done < <(find . \( -path ./build -o -path './.*' \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -print | sort)
[ ${#files[@]} -gt 0 ] || { echo "no sources below $root" >&2; exit 1; }

awk '
# The room of a path; empty for what is not ours. Folders of launcher that are no program are the room `launcher`; each
# program is a room of its own.
function room_of(path,   part) {
  split(path, part, "/")
  if (part[1] == "sdar") return "proto"
  if (part[1] == "runtime") return part[3] ~ /^(jinja|api|grpc|http|metrics|traces)$/ ? part[3] : part[2]
  if (part[1] == "launcher") return part[2] ~ /^(flags|jsonl|cuda|job)$/ ? "launcher" : "launcher/" part[2]
  if (part[1] ~ /^(common|proto|kernels|parallel|tests|bench|examples)$/) return part[1]
  return ""
}
function allow(from, rooms,   i, list, n) {
  known[from] = 1
  n = split(rooms, list, " ")
  for (i = 1; i <= n; ++i) allowed[from, list[i]] = 1
}
BEGIN {
  everything = "common proto kernels parallel jinja text grammar guided diffusion checkpoint model request schedule step engine" \
    " cluster metrics traces server api grpc http"
  programs = "checkpoint client generate grammar launch replay score serve tokenize"
  allow("common", "")
  allow("kernels", "common")
  allow("parallel", "common")
  allow("jinja", "common")
  allow("text", "jinja common")
  allow("diffusion", "common")
  allow("grammar", "common")
  allow("guided", "grammar diffusion common")
  allow("checkpoint", "common")
  allow("model", "checkpoint kernels parallel common")
  allow("request", "checkpoint diffusion grammar common")
  allow("schedule", "request guided grammar diffusion text proto common")
  allow("step", "model diffusion kernels parallel proto common")
  allow("engine", "schedule step request text common")
  allow("cluster", "engine request step proto common")
  allow("metrics", "cluster engine request common")
  allow("traces", "request common")
  allow("server", "metrics traces cluster engine request diffusion text proto common")
  allow("grpc", "server cluster request text proto common")
  allow("api", "server cluster request grammar text proto common")
  allow("http", "api server cluster request text proto common")
  allow("launcher", everything)
  names = ""
  for (i = split(programs, name, " "); i > 0; --i) {
    allow("launcher/" name[i], everything " launcher")
    names = names " launcher/" name[i]
  }
  allow("bench", everything " launcher")
  allow("examples", "proto common")
  allow("tests", everything " launcher bench" names)
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
  included = $0
  sub(/^[^"]*"/, "", included)
  sub(/".*$/, "", included)
  from = room_of(FILENAME)
  to = room_of(included)
  if (included ~ /^\.\.?\//) {
    print FILENAME ":" FNR ": " included " is included by a relative path"
    bad = 1
  }
  if (to == "" || to == from) next
  if (!(from in known)) {
    print FILENAME ":" FNR ": the file lies in no room of docs/design.md"
    bad = 1
  } else if (!((from, to) in allowed)) {
    print FILENAME ":" FNR ": " from " may not include " to " (" included ")"
    bad = 1
  }
}
END { exit bad }
' "${files[@]}"
