#!/bin/sh
# test/fuzz/run.sh [SECONDS]: builds the fuzzers and runs them on the stored corpus; 60 s by default.
# What it finds is left as test/fuzz/build/crash-…; what reaches new code, in test/fuzz/build/corpus.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
./build-stack.sh
mkdir -p build/corpus
if ! build/stack -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix=build/ build/corpus corpus/stack >build/log 2>&1; then
  grep -v 'Uses:' build/log | tail -n 40 >&2
  exit 1
fi
grep '^stat::' build/log
