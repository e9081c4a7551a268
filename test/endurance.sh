#!/bin/bash
# test/endurance.sh [--minutes N]: what finds more the longer it runs, side by side: all fuzzers for N minutes,
# soak for one more, as the fuzzers are built meanwhile. Before the fuzzers the tests of addon and launcher run under
# the sanitizers. N is 30; in `npm test` it is 1.
set -u
cd "$(dirname "$0")/.."
minutes=30
if [ "${1:-}" = --minutes ]; then
  minutes=${2:?endurance.sh: --minutes wants a number}
elif [ $# -gt 0 ]; then
  echo "usage: test/endurance.sh [--minutes N]" >&2
  exit 2
fi
export PATH=$PWD/node_modules/.bin:$PATH # our Node, also when npm does not call
(native/sanitize.sh && test/fuzz/run.sh --minutes "$minutes") &
fuzz=$!
node test/soak/main.ts --minutes "$((minutes + 1))" &
soak=$!
status=0
wait $fuzz || status=1
wait $soak || status=1
exit $status
