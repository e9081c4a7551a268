/* Made by test/commandline/launcher-flags.test.ts from src/commandline. Do not edit. */
#ifndef SLIPWAY_FLAGS_H
#define SLIPWAY_FLAGS_H

/* Options that take no value, of any command. */
#define SHORT_FLAGS "6Pcq"
#define LONG_FLAGS \
  "--api-inside", \
  "--configure", \
  "--disable-dns", \
  "--disable-host-loopback", \
  "--enable-ipv6", \
  "--enable-sandbox", \
  "--enable-seccomp", \
  "--exit-with-netns", \
  "--host-loopback", \
  "--internal", \
  "--ipv4", \
  "--ipv6", \
  "--json", \
  "--keep-id", \
  "--kill", \
  "--map-auto", \
  "--no-api-socket", \
  "--no-ipv6", \
  "--no-sandbox", \
  "--publish-auto", \
  "--publish-to-loopback", \
  "--quiet", \
  "--serve-containers", \
  "--shared", \
  "--stats"

#endif
