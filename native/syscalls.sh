#!/bin/bash
# syscalls.sh FILE...: writes the rows of the seccomp filters (src/confine/filter.c) to stdout, from the lines
#
#     #syscalls PROFILE: ITEM...
#
# that stand in comments beside the code that needs the calls. PROFILE is node (the process), run or
# daemon (what `slipway run` or the daemon needs on top), keeper or agent; or never: calls that no PROFILE may
# name, which end the process. ITEM is a call, or a call with conditions on its
# arguments, all of which must hold: ioctl(1=FIONBIO), socket(0=AF_INET;1&SOCK_TYPE=SOCK_STREAM);
# @pid is the process's own. Calls without conditions come first.
set -euo pipefail

grep -ho '#syscalls [a-z]*:.*' "$@" | sed 's|\*/.*||' | awk '
  {
    profile = toupper($2)
    sub(":", "", profile)
    for (i = 3; i <= NF; i++) if (!seen[profile, $i]++) add(profile, $i)
  }
  function add(profile, item,   name, conditions, parts, count, n) {
    name = item
    sub(/\(.*/, "", name)
    count = 0
    conditions = ""
    if (never[name] && profile != "NEVER" || allowed[name] && profile == "NEVER") {
      print "syscalls.sh: both allowed and never made: " name >"/dev/stderr"
      exit 1
    }
    if (profile == "NEVER") never[name] = 1
    else allowed[name] = 1
    if (item != name) {
      if (item !~ /^[a-z0-9_]+\(([0-5](&[A-Za-z0-9_|]+)?=[A-Za-z0-9_@|]+;?)+\)$/) {
        print "syscalls.sh: not understood: " item >"/dev/stderr"
        exit 1
      }
      sub(/^[^(]*\(/, "", item)
      sub(/\)$/, "", item)
      count = split(item, parts, ";")
      for (n = 1; n <= count; n++) conditions = conditions condition(parts[n])
    }
    rows[count > 0, ++number[count > 0]] = row(profile, name, count, conditions)
  }
  function condition(text,   sides, left) {
    split(text, sides, "=")
    split(sides[1], left, "&")
    if (left[2] == "") left[2] = "UINT32_MAX"
    if (sides[2] == "@pid") return sprintf("{%s, true, %s, 0}, ", left[1], left[2])
    return sprintf("{%s, false, %s, %s}, ", left[1], left[2], sides[2])
  }
  # A call that the architecture lacks is left out; on x86-64, which has them all, it is a mistake.
  function row(profile, name, count, conditions) {
    return sprintf("#if defined(__NR_%s)\n{FILTER_%s, __NR_%s, %d, {%s}},\n#elif defined(__x86_64__)\n#error \"no system call is named %s\"\n#endif", name, profile, name, count, conditions == "" ? "{0}" : conditions, name)
  }
  END {
    for (kind = 0; kind <= 1; kind++) for (i = 1; i <= number[kind]; i++) print rows[kind, i]
  }'
