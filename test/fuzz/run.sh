#!/bin/bash
# test/fuzz/run.sh [--minutes N]: builds the fuzzers and runs them side by side on the stored corpus,
# for a minute or N. What one finds is left as test/fuzz/build/NAME/crash-…; inputs that reach new
# code are in test/fuzz/build/NAME/corpus.
set -euo pipefail
cd "$(dirname "$0")"

minutes=1
if [ "${1:-}" = --minutes ]; then
  minutes=${2:?run.sh: --minutes wants a number}
elif [ $# -gt 0 ]; then
  echo "usage: test/fuzz/run.sh [--minutes N]" >&2
  exit 2
fi
seconds=$(awk "BEGIN { print int($minutes * 60) }")

# stack NAME [VARIABLE=VALUE]: the glue and lwIP in one configuration.
stack() {
  local name=$1
  shift
  mkdir -p "build/$name/corpus"
  env "$@" build/stack -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="build/$name/" "build/$name/corpus" corpus/stack \
    >"build/$name/log" 2>&1
}

# report NAME PID: what a fuzzer did; fails when it found something.
report() {
  local name=$1 pid=$2
  if ! wait "$pid"; then
    echo "fuzz: $name found something, kept in test/fuzz/build/$name" >&2
    grep -v 'Uses:' "build/$name/log" | tail -n 40 >&2
    return 1
  fi
  echo "fuzz: $name: $(sed -n 's/.*DONE *\(cov: [0-9]*\).*/\1/p' "build/$name/log")" \
    "$(sed -n 's/^stat::\(number_of_executed_units\|frames_in\|frames_out\): */\1 /p' "build/$name/log" | tr '\n' ' ')"
}

./build-stack.sh
stack offload &
offload=$!
stack plain FUZZ_PLAIN=1 &
plain=$!
status=0
report offload $offload || status=1
report plain $plain || status=1
exit $status
