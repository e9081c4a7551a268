#!/bin/bash
# test/fuzz/run.sh [--minutes N]: builds all fuzzers and runs them side by side, for one minute or N: the
# stack in two configurations, what cuts and joins frames for tunnels, and the processes with a hostile peer
# (peers/) on the stored corpus, the addon's entry points, the parsers and the API. Findings in the stack or by
# a peer go to test/fuzz/build/NAME/crash-…, inputs that reach new code to test/fuzz/build/NAME/corpus; the
# others' findings name a seed in test/fuzz/build/NAME/log.
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

# fuzzer NAME PROGRAM CORPUS [VARIABLE=VALUE]: a libFuzzer program.
fuzzer() {
  local name=$1 program=$2 stored=$3
  shift 3
  mkdir -p "build/$name/corpus"
  env "$@" "build/$program" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="build/$name/" "build/$name/corpus" "corpus/$stored" \
    >"build/$name/log" 2>&1
}

# typescript NAME PROPERTIES COMMAND…: fuzzers in vitest, PROPERTIES of them one after the other.
typescript() {
  local name=$1 properties=$2
  shift 2
  mkdir -p "build/$name"
  FUZZ_SECONDS=$((seconds / properties)) NO_COLOR=1 "$@" >"build/$name/log" 2>&1
}

# report NAME PID: what a fuzzer did; fails if it found something.
report() {
  local name=$1 pid=$2
  if ! wait "$pid"; then
    echo "fuzz: $name found something, see test/fuzz/build/$name" >&2
    grep -v 'Uses:' "build/$name/log" | tail -n 40 >&2
    return 1
  fi
  echo "fuzz: $name:$(sed -n 's/.*DONE *\(cov: [0-9]*\).*/ \1;/p' "build/$name/log")" \
    "$(sed -n 's/^stat::\(inputs\|messages\|frames_in\|frames_out\): */\1 /p; s/.*↳ *//p; s/^ *\(Tests .*\)/\1/p' \
      "build/$name/log" | paste -sd ';')"
}

./build-stack.sh
peers/build.sh
vitest=(npx vitest run --root ../.. --project unit --reporter=verbose)
declare -A running
fuzzer offload stack stack & running[offload]=$!
fuzzer plain stack stack FUZZ_PLAIN=1 & running[plain]=$!
fuzzer frames tunnel tunnel & running[frames]=$!
for name in agent broker keeper launcher; do
  fuzzer "$name" "peer-$name" "$name" & running[$name]=$!
done
typescript addon 1 ../../native/sanitize.sh native/test/hostile.test.ts & running[addon]=$!
typescript wire 3 "${vitest[@]}" test/fuzz/wire.test.ts & running[wire]=$!
typescript wireguard 3 "${vitest[@]}" test/fuzz/wireguard.test.ts & running[wireguard]=$!
typescript api 2 "${vitest[@]}" test/fuzz/api.test.ts & running[api]=$!
status=0
for name in "${!running[@]}"; do
  report "$name" "${running[$name]}" || status=1
done
exit $status
