/* The network namespace that a TAP is in. It stays there as long as it is open. */
#ifndef SLIPWAY_TAP_NAMESPACE_H
#define SLIPWAY_TAP_NAMESPACE_H

#include <stdint.h>

/* A network namespace. A cookie is given once since boot, an inode number again and again. */
struct namespace {
  uint64_t device;
  uint64_t inode;
  uint64_t cookie; /* 0: unknown */
};

/* All 0 where the kernel does not tell. Takes a millisecond, as a process has to enter the namespace. */
struct namespace tap_namespace(int tap);

#endif
