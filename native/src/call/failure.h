/* Which step of an operation failed, and on what: for one sentence to the user. */
#ifndef TUNTAP2_FAILURE_H
#define TUNTAP2_FAILURE_H

/* The names that JavaScript sees are in failure.c and index.d.cts, in the same order. */
enum step {
  STEP_NONE,
  STEP_SOCKETPAIR,
  STEP_FORK,
  STEP_AGENT,
  STEP_OPEN_NETNS,
  STEP_CHECK_NETNS,
  STEP_OPEN_USERNS,
  STEP_CHECK_USERNS,
  STEP_GET_USERNS,
  STEP_SETNS_USER,
  STEP_SETNS_NET,
  STEP_OPEN_TUN,
  STEP_TUNSETIFF,
  STEP_VNET_HEADER,
  STEP_OFFLOAD,
  STEP_IFINDEX,
  STEP_NETLINK,
  STEP_SOCKET,
  STEP_UNSHARE,
  STEP_SETGROUPS,
  STEP_UID_MAP,
  STEP_GID_MAP,
  STEP_MOUNT,
  STEP_RESOLV_CONF,
  STEP_HIDE,
  STEP_PIDFD_OPEN,
  STEP_BROKER,
  STEP_KEEPER,
  STEP_EMPTY_ROOT,
  STEP_THREADS,
  STEP_SECCOMP,
  STEP_COUNT,
};

struct failure {
  enum step step;
  char path[256]; /* cut when longer */
};

/* Returns `error` (negative errno), so that it can stand in a return statement. */
int failure_set(struct failure *failure, enum step step, const char *path, int error);

#endif
