#!/bin/sh
# test/fuzz/coverage.sh [CORPUS…]: which lines of lwIP and of the glue the stored corpus covers.
# Needs Debian's llvm-16. llvm-cov-16 show, used as below, lists the uncovered lines.
set -eu
cd "$(dirname "$0")/../.."
wasm/fetch-lwip.sh
lwip=wasm/build/lwip/src
out=test/fuzz/build/coverage
mkdir -p $out
clang-16 -g -O1 -w -std=gnu17 -fno-pie -no-pie -fsanitize=fuzzer -fprofile-instr-generate \
  -fcoverage-mapping -DFUZZING -Iwasm/src -I$lwip/include -o $out/stack test/fuzz/stack.c wasm/src/*.c \
  $lwip/core/mem.c $lwip/core/memp.c $lwip/core/pbuf.c $lwip/core/tcp.c $lwip/core/tcp_in.c \
  $lwip/core/tcp_out.c
[ $# -gt 0 ] || set -- test/fuzz/corpus/stack
LLVM_PROFILE_FILE=$out/offload.profraw $out/stack -runs=0 "$@" >/dev/null 2>&1
FUZZ_PLAIN=1 LLVM_PROFILE_FILE=$out/plain.profraw $out/stack -runs=0 "$@" >/dev/null 2>&1
llvm-profdata-16 merge -o $out/profile $out/*.profraw
llvm-cov-16 report $out/stack -instr-profile=$out/profile $lwip/core wasm/src |
  awk 'NR == 1 || / [0-9.]+%/ { print $1, $(NF - 3), $(NF) }' | column -t
