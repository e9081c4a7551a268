#!/bin/bash
# test/fuzz/run.sh [--minutes N]: builds all fuzzers and runs them side by side, for a minute or N: the
# stack in two configurations on the stored corpus, the addon's entry points, the parsers and the API.
# What is found in the stack is left as test/fuzz/build/NAME/crash-…, and what reaches new code in
# test/fuzz/build/NAME/corpus; the others' findings name a seed in test/fuzz/build/NAME/log.
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

# typescript NAME PROPERTIES COMMAND…: fuzzers in vitest, PROPERTIES of them one after the other.
typescript() {
  local name=$1 properties=$2
  shift 2
  mkdir -p "build/$name"
  FUZZ_SECONDS=$((seconds / properties)) NO_COLOR=1 "$@" >"build/$name/log" 2>&1
}

# report NAME PID: what a fuzzer did; fails when it found something.
report() {
  local name=$1 pid=$2
  if ! wait "$pid"; then
    echo "fuzz: $name found something, see test/fuzz/build/$name" >&2
    grep -v 'Uses:' "build/$name/log" | tail -n 40 >&2
    return 1
  fi
  echo "fuzz: $name:$(sed -n 's/.*DONE *\(cov: [0-9]*\).*/ \1;/p' "build/$name/log")" \
    "$(sed -n 's/^stat::\(inputs\|frames_in\|frames_out\): */\1 /p; s/.*↳ *//p; s/^ *\(Tests .*\)/\1/p' \
      "build/$name/log" | paste -sd ';')"
}

./build-stack.sh
vitest=(npx vitest run --root ../.. --project unit --reporter=verbose)
declare -A running
stack offload & running[offload]=$!
stack plain FUZZ_PLAIN=1 & running[plain]=$!
typescript addon 1 ../../native/sanitize.sh native/test/hostile.test.ts & running[addon]=$!
typescript wire 3 "${vitest[@]}" test/fuzz/wire.test.ts & running[wire]=$!
typescript api 2 "${vitest[@]}" test/fuzz/api.test.ts & running[api]=$!
status=0
for name in offload plain addon wire api; do
  report $name "${running[$name]}" || status=1
done
exit $status
