/*
 * What launchers in shared mode and the daemon say to each other, over SOCK_SEQPACKET: each message is a struct below
 * and what follows it. Texts end with a NUL; numbers are in the byte order of the machine.
 *
 *     launcher                                             daemon
 *     REQUEST: where we are, the command line     ──────>
 *                                                 <──────  PLAN: what the command line means
 *     TAP: its index, with the TAP itself         ──────>
 *     API: with the API's socket                  ──────>
 *                                                 <──────  UP: requests of netlink, text for stdout
 *     AGENT: for pasta, its settings are made     ──────>
 *                                                 <──────  KEEP: what the next process must know; repeated
 *                                                 <──────  END: status, and text for stderr
 *
 * A command that only asks gets its ANSWER at once; or, if a namespace is to be connected to a network: PLAN, TAP, UP,
 * DONE when the settings are made, and then the ANSWER.
 *
 * Either side closes the connection when it can't go on. abi.sh makes src/rpc/launcher-abi.ts of the numbers here.
 */
#ifndef SLIPWAY_SHARED_PROTOCOL_H
#define SLIPWAY_SHARED_PROTOCOL_H

#include <stdint.h>

enum {
  SHARED_VERSION = 2, /* changes with every message that an older side would not understand */
  SHARED_REQUEST_MAX = 32768, /* bytes in a message from the launcher */
  SHARED_MESSAGE_MAX = 196608, /* bytes in a message from the daemon; below the usual net.core.wmem_default */
  SHARED_SETTINGS_MAX = 1280, /* settings in an UP: a guest has the addresses and routes of its host */
  SHARED_HEAD_LENGTH = 8, /* of struct shared_message */
  SHARED_PLAN_LENGTH = 16, /* of struct shared_plan */
  SHARED_NONE = -1, /* no descriptor, no process */
};

enum shared_from_launcher {
  SHARED_REQUEST = 1,
  SHARED_TAP = 2,
  SHARED_API = 3,
  SHARED_DONE = 4,
  SHARED_AGENT = 5,
};

enum shared_from_daemon {
  SHARED_PLAN = 1,
  SHARED_UP = 2,
  SHARED_KEEP = 3,
  SHARED_END = 4,
  SHARED_ANSWER = 5,
};

/*
 * Kind       number           then
 * REQUEST    SHARED_VERSION   texts: device:inode of our network namespace, and of resolv.conf; our pid; by which name
 *                             we were called; the arguments
 * TAP        its index        texts: its name; device:inode of its network namespace; when the process was started,
 *                             in clock ticks ("" for none). The TAP comes along
 * API        0                nothing. The socket comes along
 * DONE       0                nothing
 * AGENT      0                nothing. The socket of an agent in the guest's namespace comes along (src/agent/agent.h)
 * UP         settings         so many times struct shared_setting; then text for stdout
 * KEEP       (it has none)    anything, behind `kind` alone
 * END        exit status      text for stderr, or nothing
 * ANSWER     exit status      text for stdout
 */
struct shared_message {
  uint32_t kind;
  int32_t number;
};
_Static_assert(sizeof(struct shared_message) == SHARED_HEAD_LENGTH, "as the daemon has it");

/*
 * PLAN. Then texts: path of the network namespace, of the user namespace ("" for its owner), name of the TAP ("": the
 * first of eth0, eth1 and so on that is free), path of the API's socket ("" for none).
 */
struct shared_plan {
  uint32_t kind;
  int32_t ready_fd;
  int32_t exit_fd;
  int32_t pid; /* the network ends when this process does */
};
_Static_assert(sizeof(struct shared_plan) == SHARED_PLAN_LENGTH, "as the daemon has it");

/* Then `length` bytes: a request of netlink. */
struct shared_setting {
  uint32_t length;
  uint32_t optional; /* this many settings, this one included, are skipped where there is no IPv6; 0: it must succeed */
};

/* Errnos by which a namespace says that it has no IPv6: disable_ipv6 is EACCES, a kernel without it the others. */
#define SHARED_NO_IPV6(each) each(EACCES) each(EAFNOSUPPORT) each(EOPNOTSUPP)

#endif
