/* Where the kernel's form of the vectors and messages of one call is built: too large for the stack. */
#ifndef TUNTAP2_SCRATCH_H
#define TUNTAP2_SCRATCH_H

#include <sys/socket.h>
#include <sys/uio.h>

enum {
  IOV_MAX_COUNT = 1024, /* UIO_MAXIOV: the kernel's own limit for one vector */
  IOV_POOL = 4096,      /* for all messages of one call */
  MESSAGES_MAX = 256,
};

struct scratch {
  struct iovec iovs[IOV_POOL];
  struct mmsghdr messages[MESSAGES_MAX];
};

#endif
