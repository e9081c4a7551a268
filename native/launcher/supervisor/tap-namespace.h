/* The network namespace that a TAP is in. It stays there as long as it is open. */
#ifndef SLIPWAY_TAP_NAMESPACE_H
#define SLIPWAY_TAP_NAMESPACE_H

#include <stdint.h>

/* A network namespace: `cookie` is given once since the boot, an inode's number again and again. */
struct namespace {
  uint64_t device;
  uint64_t inode;
  uint64_t cookie; /* 0: it is not known */
};

/* All 0 where the kernel does not tell. Takes a millisecond, as a process has to enter the namespace. */
struct namespace tap_namespace(int tap);

#endif
