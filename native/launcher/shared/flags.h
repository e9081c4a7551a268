/* Made by test/commandline/launcher-flags.test.ts from src/commandline. Do not edit. */
#ifndef SLIPWAY_FLAGS_H
#define SLIPWAY_FLAGS_H

/* Options that take no value, of the commands for which the launcher enters a namespace. */
#define SHORT_FLAGS "6Pc"
#define LONG_FLAGS \
  "--configure", \
  "--disable-dns", \
  "--disable-host-loopback", \
  "--enable-ipv6", \
  "--enable-sandbox", \
  "--enable-seccomp", \
  "--exit-with-netns", \
  "--host-loopback", \
  "--no-api-socket", \
  "--no-ipv6", \
  "--no-sandbox", \
  "--publish-auto", \
  "--publish-to-loopback", \
  "--shared", \
  "--stats"

#endif
