#!/bin/bash
# Builds the addon (build/tuntap2.node) and the launcher (../bin/slipway, by its names), each
# only when a source is newer. --sanitize builds build/tuntap2-asan.node and build/slipway-asan, with ASan
# and UBSan, instead; --faults builds build/tuntap2-faults.node, whose system calls fail when they are told to
# (faults/faults.c), for tests alone. CC chooses the compiler.
set -euo pipefail
cd "$(dirname "$0")"

compiler=${CC:-cc}
warnings=(-Wall -Wextra -Werror -std=gnu17)

# accepts OPTION...: whether the compiler takes options.
accepts() {
  "$compiler" -Werror "$@" -x c -c -o /dev/null /dev/null 2>/dev/null
}

# What a mistake in C is to meet: canaries, checked copies, guard pages that cannot be jumped over, and where
# the processor has it (CET, BTI) no jump into the middle of a function.
harden() {
  hardening=(-O2 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  local option
  for option in -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard; do
    if accepts "$option"; then hardening+=("$option"); fi
  done
}

headers() {
  local directory
  for directory in ../node_modules ../../../node_modules; do
    if [ -f "$directory/node-api-headers/include/node_api.h" ]; then
      echo "$directory/node-api-headers/include"
      return
    fi
  done
  echo "native/build.sh: node-api-headers is missing: npm run setup" >&2
  return 1
}

# outdated TARGET SOURCE...: whether TARGET is missing or older than a source, or than this script.
outdated() {
  local target=$1
  shift
  [ ! -e "$target" ] || [ -n "$(find "$@" build.sh -newer "$target" -print -quit)" ]
}

# Atomic, so that a process that starts meanwhile finds the old file or the new one.
build_addon() {
  local target=$1
  shift
  outdated "$target" src faults build/syscalls.inc || return 0
  local include
  include=$(headers)
  echo "native: $target"
  mkdir -p build
  "$compiler" "${warnings[@]}" -fvisibility=hidden -fPIC -D_GNU_SOURCE -DNAPI_VERSION=8 \
    -I"$include" -shared -Wl,-z,relro,-z,now,-z,noexecstack -o "$target.new" src/*.c src/*/*.c "$@" -lm
  mv "$target.new" "$target"
}

# The rows of the seccomp filters, from the comments of all sources; ../src is missing where the package
# is used by itself.
gather_syscalls() {
  mkdir -p build
  local sources
  mapfile -t sources < <(find src launcher ../src -name '*.[ch]' -o -name '*.ts' 2>/dev/null | LC_ALL=C sort)
  ./syscalls.sh "${sources[@]}" >build/syscalls.inc.new
  if cmp -s build/syscalls.inc.new build/syscalls.inc; then rm build/syscalls.inc.new
  else mv build/syscalls.inc.new build/syscalls.inc; fi
}

# write_abi PREFIX HEADER MODULE: TypeScript's side of a protocol; there is none where the package is used by itself.
write_abi() {
  [ -d "$(dirname "$3")" ] || return 0
  ./abi.sh "$1" "$2" >"$3.new"
  if cmp -s "$3.new" "$3"; then rm "$3.new"
  else mv "$3.new" "$3"; fi
}

# What the launcher has of the addon: no Node-API in it.
shared=(src/{os,confine,agent,held}/*.c)

build_launcher() {
  local target=$1
  shift
  outdated "$target" launcher src build/syscalls.inc || return 0
  echo "native: $target"
  "$compiler" "${warnings[@]}" -fPIE -Wl,-z,relro,-z,now,-z,noexecstack -D_GNU_SOURCE -o "$target.new" launcher/*.c launcher/*/*.c "${shared[@]}" "$@"
  mv "$target.new" "$target"
}

link_names() {
  mkdir -p ../bin
  local name
  for name in slirp4netns slipway-cni pasta passt pesto; do
    [ -L "../bin/$name" ] || ln -sf slipway "../bin/$name"
  done
}

sanitizers=(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
  -ffile-prefix-map=src/=node-tuntap2/src/ -ffile-prefix-map=launcher/=node-tuntap2/launcher/)

gather_syscalls
write_abi SHARED launcher/shared/protocol.h ../src/rpc/launcher-abi.ts
write_abi STORE launcher/supervisor/store.h ../src/sys/tap-store-abi.ts
case ${1:-} in
  "")
    harden
    build_addon build/tuntap2.node "${hardening[@]}"
    link_names
    build_launcher ../bin/slipway "${hardening[@]}" -static-pie
    ;;
  --sanitize)
    build_addon build/tuntap2-asan.node "${sanitizers[@]}"
    build_launcher build/slipway-asan "${sanitizers[@]}"
    ;;
  --faults)
    wrapped="-Wl,--wrap=connect,--wrap=epoll_ctl $(sed -n 's/^WRAP(\([a-z0-9_]*\),.*/-Wl,--wrap=\1/p' faults/faults.c)"
    # shellcheck disable=SC2086 # the options are words
    build_addon build/tuntap2-faults.node -O2 faults/faults.c $wrapped
    ;;
  *)
    echo "usage: native/build.sh [--sanitize|--faults]" >&2
    exit 2
    ;;
esac
