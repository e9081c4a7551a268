#!/bin/bash
# Runs the tests of addon and launcher on builds with AddressSanitizer and UndefinedBehaviorSanitizer. A
# report that names either fails the run, also one from a forked child, whose stderr nobody reads, and
# also a leak: Node's own leaks at exit are many and not ours.
set -euo pipefail
cd "$(dirname "$0")"

export CC=gcc # whose runtime is a shared library, as LD_PRELOAD needs
./build.sh --sanitize
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
chmod 1777 "$reports" # the tests run as another user

TUNTAP2_ADDON=$PWD/build/tuntap2-asan.node
TUNTAP2_LAUNCHER=$PWD/build/slipway-asan
TUNTAP2_PRELOAD=$(gcc -print-file-name=libasan.so)
# V8 handles segmentation faults of its own. What ends a process is judged by its report.
ASAN_OPTIONS=log_path=$reports/report:handle_segv=0:detect_leaks=1:exitcode=0
UBSAN_OPTIONS=log_path=$reports/report:print_stacktrace=1
export TUNTAP2_ADDON TUNTAP2_LAUNCHER TUNTAP2_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS

status=0
(cd .. && npx vitest run --project unit "${@:-native/test}") || status=$?

# A source file as build.sh names it in the debug information, or the file for code without a line.
ours='node-tuntap2/(src|launcher)/|tuntap2-asan\.node|slipway-asan'
if grep -rqE "$ours" "$reports"; then
  grep -rhE -B10 -A10 "$ours" "$reports" | head -n 200 >&2
  echo "native/sanitize.sh: the sanitizers found errors" >&2
  exit 1
fi
exit "$status"
