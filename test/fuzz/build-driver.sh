#!/bin/sh
# Builds build/driver.wasm: stack.c for the WASM module that we ship. It has its own part of the module's
# memory, beyond what the fuzzers' budget lets the module use.
set -eu
cd "$(dirname "$0")"
mkdir -p build
wasm=../../wasm/src
if [ -f build/driver.wasm ] &&
  [ -z "$(find build-driver.sh stack.c $wasm/*.h -newer build/driver.wasm)" ]; then
  exit 0
fi
clang=$(command -v clang-16 || command -v clang)
"$clang" --target=wasm32 -std=c17 -O2 -nostdlib -ffreestanding -mbulk-memory -msign-ext \
  -Wall -Wextra -Werror -I$wasm -I$wasm/libc \
  -Wl,--no-entry -Wl,--import-memory -Wl,--global-base=201326592 \
  -Wl,--initial-memory=268435456 -Wl,--max-memory=268435456 \
  -o build/driver.wasm.new stack.c $wasm/libc/string.c
mv build/driver.wasm.new build/driver.wasm
