/* Where a TAP is opened. */
#ifndef SLIPWAY_TARGET_H
#define SLIPWAY_TARGET_H

struct target {
  const char *netns;
  const char *userns; /* "": the owner of netns */
  const char *tap;    /* "": the first of eth0, eth1 and so on that is free */
  int pid;            /* -1: the namespace is not that of a process */
};

#endif
