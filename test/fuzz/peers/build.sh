#!/bin/sh
# Builds the fuzzers with a hostile peer: ../build/peer-agent, -broker, -keeper and -launcher.
set -eu
cd "$(dirname "$0")/../../.."
native/build.sh >/dev/null # the rows of the filters
out=test/fuzz/build
mkdir -p $out/peers # build-stack.sh links what is in $out
flags="-g -O1 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -fno-omit-frame-pointer
  -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"

# fuzzer NAME SOURCE...: the sources that it does not include itself.
fuzzer() {
  name=$1
  shift
  # shellcheck disable=SC2086 # the flags are words
  clang-16 $flags -o "$out/peer-$name.new" "test/fuzz/peers/$name.c" "$@"
  mv "$out/peer-$name.new" "$out/peer-$name"
}

agent=$out/peers/agent.o
src=native/src
process="$(echo $src/os/*.c $src/confine/*.c) $src/agent/netlink.c $src/agent/tap.c $src/agent/targets.c"
held=$(echo $src/held/*.c)
launcher=native/launcher
common=$(echo $launcher/common/*.c)
# For a real agent: at its exit the sanitizer would make calls that the agent's filter refuses.
# shellcheck disable=SC2086 # the flags are words
clang-16 $flags -fno-sanitize=address -c -o $agent native/src/agent/agent.c

# shellcheck disable=SC2086 # names without blanks
{
  fuzzer agent $process &
  agent_pid=$!
  fuzzer broker $agent $process $held $launcher/sandbox/keeper.c $launcher/sandbox/namespaces.c $common
  wait $agent_pid
  fuzzer keeper $agent $process $held $launcher/sandbox/broker.c $launcher/sandbox/namespaces.c $common &
  keeper_pid=$!
  fuzzer launcher $agent $process $held $launcher/sandbox/keeper.c $common \
    $launcher/shared/guess.c $launcher/shared/silence.c $launcher/shared/plan.c $launcher/shared/plan-given.c \
    $launcher/shared/netns-file.c $launcher/pasta/background.c $launcher/pasta/options.c
  wait $keeper_pid
}
