#!/usr/bin/env bash
# Installs what is missing, builds, starts a job of two ranks with the checkpoint in models/sdar-tiny-chat, and chats with it:
#   ./demo.sh              asks, shows answers and statistics, stops everything
#   ./demo.sh --serve      goes on serving until Ctrl-C
#   --ranks=N              processes that share the model (default 2)
#   --port=N               port to serve on (default: a free one, with --serve 50051)
# SDAR_JOBS sets how many compilers run at once (default: the cores of this machine).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

ranks=2
port=
serve=false
jobs=${SDAR_JOBS:-$(nproc)}
bin=build/release/bin
work=
server=

fail() {
  echo "demo.sh: $*" >&2
  exit 1
}

for argument in "$@"; do
  case $argument in
    --serve) serve=true ;;
    --ranks=[1-9] | --ranks=[1-9][0-9]) ranks=${argument#*=} ;;
    --port=*[!0-9]* | --port=) fail "$argument: expected a number" ;;
    --port=*) port=${argument#*=} ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) fail "unknown argument $argument (usage: ./demo.sh [--serve] [--ranks=N] [--port=N])" ;;
  esac
done
http_port=8000
if [ -z "$port" ]; then
  port=0
  ! $serve || port=50051
fi
[ "$port" != 0 ] || http_port=0

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s==> %s%s\n' "$bold" "$*" "$plain"; }

# The process and all that descend from it.
family() {
  ps -eo pid=,ppid= | awk -v root="$1" '
    { parent[$1] = $2 }
    END { for (p in parent) { for (a = p; a in parent && a != root; a = parent[a]); if (a == root) print p } }'
}

# Ends the job and waits for it; whoever is still there after ten seconds is killed.
stop_server() {
  [ -n "$server" ] || return 0
  local members
  members=$(family "$server")
  kill -TERM "$server" 2> /dev/null || true
  for _ in $(seq 100); do
    kill -0 "$server" 2> /dev/null || break
    sleep 0.1
  done
  # shellcheck disable=SC2086 # a list of words
  ! kill -0 "$server" 2> /dev/null || kill -KILL $members 2> /dev/null || true
  wait "$server" 2> /dev/null || true
  server=
}

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  stop_server
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

show_log_and_fail() {
  echo "--- the server's log" >&2
  tail -n 40 "$work/server.log" >&2
  fail "$*"
}

title "Packages"
cmake/install_packages.sh packages.txt

title "Build (build/release)"
mkdir -p build
cmake --preset release > build/release.configure.log 2>&1 ||
  { tail -n 20 build/release.configure.log >&2; fail "cmake failed; see build/release.configure.log"; }
cmake --build --preset release -j "$jobs" --target sdar-serve sdar-client

title "A job of $ranks rank(s) serving models/sdar-tiny-chat"
work=$(mktemp -d)
mpi=(--oversubscribe --bind-to none)
[ "$(id -u)" -ne 0 ] || mpi+=(--allow-run-as-root)
# In a process group of its own, so that Ctrl-C reaches this script first.
set -m
mpirun "${mpi[@]}" -n "$ranks" "$bin/sdar-serve" --model=models/sdar-tiny-chat --port="$port" --http-port="$http_port" \
  --address-file="$work/address" < /dev/null > "$work/server.log" 2>&1 &
server=$!
set +m
for _ in $(seq 300); do
  kill -0 "$server" 2> /dev/null || show_log_and_fail "the job ended before it served"
  [ -s "$work/address" ] && "$bin/sdar-client" --server="$(cat "$work/address")" --status > "$work/status" 2> /dev/null && break
  sleep 0.2
done
[ -s "$work/status" ] || show_log_and_fail "the job did not serve within a minute"
address=$(cat "$work/address")
"$bin/sdar-client" --server="$address" --info

# ask [FLAG...]: the flags and standard input are those of sdar-client.
ask() { "$bin/sdar-client" --server="$address" --temperature=0 "$@" 2>&1; }

title "A conversation: the second question is about the first"
ask --chat << 'END'
What is the capital of Chile?
And of Peru?
END

title "A tool: the model calls it, and answers with what it said"
cat > "$work/tools.json" << 'END'
[{"type": "function", "function": {"name": "get_weather", "description": "get weather",
  "parameters": {"type": "object", "properties": {"city": {}}, "required": ["city"]}}}]
END
ask --chat --tools="$work/tools.json" << 'END'
What is the weather in Lima?
/tool It is sunny, 21 degrees.
END

title "One block after another, all four positions of a block at once"
if [ -t 1 ]; then
  echo "grey: what the model would put there; bold: revealed out of order; plain: final"
  ask --watch --watch-delay=120 --remasking-strategy=low_confidence_static What is tensor parallelism?
else
  ask --watch --remasking-strategy=low_confidence_static What is the opposite of closed?
fi
echo
echo "With low_confidence_dynamic all positions it is sure of are revealed at once:"
ask --remasking-strategy=low_confidence_dynamic What is tensor parallelism?

title "The job"
"$bin/sdar-client" --server="$address" --status

if $serve; then
  title "Serving on $address until Ctrl-C"
  echo "In another terminal:"
  echo "  $bin/sdar-client --server=$address                       a chat"
  echo "  $bin/sdar-client --server=$address --watch What is 7 + 66?"
  echo "  $bin/sdar-client --server=$address --status"
  if [ "$http_port" != 0 ]; then
    echo "  curl http://127.0.0.1:$http_port/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"What is 7 + 66?\"}]}'"
    echo "In a browser, a page to chat with: http://127.0.0.1:$http_port/"
  fi
  wait "$server" || show_log_and_fail "the job ended"
fi
