/* Where the checked form of the vectors and messages of one call is built: too large for the stack. */
#ifndef TUNTAP2_SCRATCH_H
#define TUNTAP2_SCRATCH_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../crypto/evp.h"

enum {
  IOV_MAX_COUNT = 1024, /* UIO_MAXIOV: the kernel's own limit for one vector */
  IOV_POOL = 4096,      /* for all messages of one call */
  MESSAGES_MAX = 256,
};

/* A message to be sealed or opened. */
struct aead_job {
  EVP_CIPHER_CTX *context;
  uint64_t counter;
  uint8_t *output;
  const struct iovec *pieces; /* to be sealed, one after the other */
  uint32_t count;
  uint8_t *input;  /* to be opened, instead of pieces */
  uint32_t length; /* of the pieces with padding, or of the input with its tag */
};

struct scratch {
  struct iovec iovs[IOV_POOL];
  struct mmsghdr messages[MESSAGES_MAX];
  struct aead_job jobs[MESSAGES_MAX];
};

#endif
