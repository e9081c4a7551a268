#!/bin/bash
# The parts of `npm test` that need time, side by side: a minute of all fuzzers, three of soak.
set -u
cd "$(dirname "$0")/.."
test/fuzz/run.sh --minutes 1 &
fuzz=$!
node test/soak/main.ts --minutes 3 &
soak=$!
status=0
wait $fuzz || status=1
wait $soak || status=1
exit $status
