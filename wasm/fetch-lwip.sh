#!/bin/sh
# Puts lwIP's source, checked by its sha256, into build/lwip (a cache, never committed).
#
# The source comes from Debian's source package `lwip`, through the machine's own package client and
# its own sources: a temporary list has those lines with another suite and as deb-src. Machines
# without Debian's tools set LWIP_TARBALL=path.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=$here/build/lwip
version=2.2.1
suite=trixie
sha256=83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1

[ -f "$target/.verified-$sha256" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

die() { echo "lwip: $*" >&2; exit 1; }

# The `URIs:`/`deb` lines of the machine that point at Debian's main archive, as deb-src of $suite.
derive_sources() {
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] && sed -n 's/^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\/debian\/\{0,1\}\)[[:space:]].*/\2/p' "$list"
  done
  for list in /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] && sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\/debian\/\{0,1\}\)[[:space:]]*$/\1/p' "$list"
  done
}

download() {
  command -v apt-get >/dev/null || die "no apt-get here; give the tarball of lwip $version by LWIP_TARBALL=path"
  # [trusted=yes]: an older release may lack the newer suite's key; the sha256 below is what we trust.
  derive_sources | sort -u | sed "s|.*|deb-src [trusted=yes] & $suite main|" >"$work/sources.list"
  [ -s "$work/sources.list" ] || die "no Debian archive among this machine's package sources; give the tarball of lwip $version by LWIP_TARBALL=path"
  mkdir -p "$work/lists/partial" "$work/archives/partial"
  apt() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
      -o Dir::State::lists="$work/lists" -o Dir::Cache="$work" -o APT::Sandbox::User="$(id -un)" "$@"
  }
  (cd "$work" && apt update >"$work/log" 2>&1 && apt source --download-only lwip >>"$work/log" 2>&1) || {
    tail -n 5 "$work/log" >&2
    die "the source package lwip of $suite could not be fetched; give its tarball by LWIP_TARBALL=path"
  }
  set -- "$work"/lwip_"$version"*.orig.tar.*
  [ -f "$1" ] || die "the source package lwip of $suite is no longer $version; give that tarball by LWIP_TARBALL=path"
  tarball=$1
}

tarball=${LWIP_TARBALL:-}
[ -n "$tarball" ] || download
[ -f "$tarball" ] || die "LWIP_TARBALL=$tarball: no such file"

got=$(sha256sum "$tarball" | cut -d' ' -f1)
[ "$got" = "$sha256" ] || die "$tarball has sha256 $got, expected $sha256: not used"

rm -rf "$target"
mkdir -p "$target"
tar -xf "$tarball" -C "$target" --strip-components=1
touch "$target/.verified-$sha256"
