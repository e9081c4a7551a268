#!/bin/sh
# Builds the fuzzers of wasm/: build/stack of the glue and lwIP, build/tunnel of what cuts and joins frames.
set -eu
cd "$(dirname "$0")/../.."
wasm/fetch-lwip.sh
lwip=wasm/build/lwip/src
out=test/fuzz/build
mkdir -p $out
# UBSan's alignment check is off: WASM has no alignment, and lwIP reads packets in place.
flags="-g -O2 -std=gnu17 -fno-pie -DFUZZING -Iwasm/src -isystem $lwip/include
  -fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined"

# shellcheck disable=SC2086 # the flags are words
compile() {
  clang-16 $flags -c "$@"
}

for source in mem memp pbuf tcp tcp_in tcp_out; do
  compile -w -fsanitize=fuzzer-no-link -o $out/$source.o $lwip/core/$source.c &
done
rm -f $out/glue-*.o # of sources that are gone, too
for source in wasm/src/*.c; do
  compile -Wall -Wextra -Werror -fsanitize=fuzzer-no-link -o "$out/glue-$(basename "$source" .c).o" "$source" &
done
# Without coverage: its own branches are not under test.
compile -Wall -Wextra -Werror -o $out/driver.o test/fuzz/stack.c
compile -Wall -Wextra -Werror -o $out/tunnel.o test/fuzz/tunnel.c
wait
# shellcheck disable=SC2086
clang-16 $flags -no-pie -fsanitize=fuzzer -o $out/stack.new $out/mem.o $out/memp.o $out/pbuf.o $out/tcp.o \
  $out/tcp_in.o $out/tcp_out.o $out/glue-*.o $out/driver.o
mv $out/stack.new $out/stack

# shellcheck disable=SC2086
clang-16 $flags -no-pie -fsanitize=fuzzer -o $out/tunnel.new $out/glue-split.o $out/glue-join.o $out/glue-packet.o \
  $out/glue-checksum.o $out/glue-heap.o $out/tunnel.o
mv $out/tunnel.new $out/tunnel
