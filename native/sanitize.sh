#!/bin/bash
# Runs the addon's tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer. A report
# that names the addon fails the run, also one from a forked child, whose stderr nobody reads, and
# also a leak: Node's own leaks at exit are many and not ours.
set -euo pipefail
cd "$(dirname "$0")"

./build.sh --sanitize
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
chmod 1777 "$reports" # the tests run as another user

runtime=$("${CC:-cc}" -print-file-name=libasan.so)
[ -e "$runtime" ] || runtime=$("${CC:-cc}" -print-file-name=libclang_rt.asan-x86_64.so)

export TUNTAP2_ADDON=$PWD/build/tuntap2-asan.node
export TUNTAP2_PRELOAD=$runtime
# V8 handles its own traps; its stacks are not ASan's.
export ASAN_OPTIONS="log_path=$reports/report:handle_segv=0:detect_leaks=1:exitcode=0"
export ASAN_OPTIONS="$ASAN_OPTIONS:detect_stack_use_after_return=0"
export UBSAN_OPTIONS="log_path=$reports/report:print_stacktrace=1"

status=0
(cd .. && npx vitest run --project unit native/test) || status=$?

if grep -l "tuntap2-asan" "$reports"/* > /dev/null 2>&1; then
  grep -h -B20 -A5 "tuntap2-asan" "$reports"/* | head -200 >&2
  echo "native/sanitize.sh: the sanitizers found errors" >&2
  exit 1
fi
exit "$status"
