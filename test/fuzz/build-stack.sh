#!/bin/sh
# Builds the fuzzers into test/fuzz/build.
set -eu
cd "$(dirname "$0")/../.."
wasm/fetch-lwip.sh
lwip=wasm/build/lwip/src
out=test/fuzz/build
mkdir -p $out
for source in mem memp pbuf tcp tcp_in tcp_out; do
  clang-16 -g -O1 -w -fno-pie -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize=alignment -DFUZZING -Iwasm/src -I$lwip/include -c -o $out/$source.o $lwip/core/$source.c
done
# UBSan's alignment check is off: WASM has no alignment, and lwIP reads packets in place.
clang-16 -g -O1 -std=c17 -Wall -Wextra -Werror -fno-pie -no-pie \
  -fsanitize=fuzzer,address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined \
  -DFUZZING -Iwasm/src -isystem $lwip/include -o $out/stack test/fuzz/stack.c wasm/src/*.c $out/*.o
