/*
 * Shared mode: the user's daemon serves the namespace, and no Node is started. This process does what
 * the daemon may not: it enters the namespaces, opens the TAP and binds the API's socket, sends both
 * by SCM_RIGHTS, and stays as the pid that the caller knows.
 *
 * Messages go over SOCK_SEQPACKET, each a struct below and what is said behind it; texts end with a
 * NUL. src/protocol/launcher.ts has the daemon's side.
 *
 *     launcher                                             daemon
 *     REQUEST: where we stand, the command line   ──────>
 *                                                 <──────  PLAN: what the command line means
 *     TAP: its index; it comes along              ──────>  (before the PLAN, if we could guess it)
 *     API: its socket comes along                 ──────>
 *                                                 <──────  UP: requests of netlink, words for stdout
 *                                                 <──────  KEEP: what the next one must know; repeated
 *                                                 <──────  END: status, and what is said on stderr
 *
 * The daemon parses the command line, as there is one parser of it. It closes the connection when it
 * does not serve such a network, or when the command line is wrong; we do when anything fails. Then a
 * process is started as without shared mode, and says what is to be said.
 *
 * Commands that only ask the daemon go the same way, as a Node that does nothing else takes longer to
 * start than all the rest. Their REQUEST is followed by the ANSWER at once, or, if a namespace is to be
 * connected to a network, by PLAN, TAP, UP, and DONE when the settings are made; then by the ANSWER.
 */
#ifndef SLIPWAY_SHARED_H
#define SLIPWAY_SHARED_H

#include <stdbool.h>
#include <stdint.h>

/* Changes with every message that an older side would not understand. */
enum { SHARED_VERSION = 2 };

enum shared_from_launcher { SHARED_REQUEST = 1, SHARED_TAP, SHARED_API, SHARED_DONE };
enum shared_from_daemon { SHARED_PLAN = 1, SHARED_UP, SHARED_KEEP, SHARED_END, SHARED_ANSWER };

/* A REQUEST's number is SHARED_VERSION, then texts: the host's network namespace and resolv.conf by
 * device and inode, our pid, our name, the arguments. A TAP's is its index, then texts: its name, the
 * namespace by device and inode, when the process was started ("" for none). An API's and a DONE's is
 * 0. An UP's is how many settings follow, and then the words; an END's and an ANSWER's is the exit
 * status, and words follow, of an END for stderr. */
struct shared_message {
  uint32_t kind;
  int32_t number;
};

/* Then texts: netns, userns ("" for its owner), name of the TAP ("": the first of eth0, eth1 and so on
 * that is free), path of the API's socket ("" for none). Descriptors and the process whose network it is are -1 where there is none. */
struct shared_plan {
  uint32_t kind;
  int32_t ready_fd;
  int32_t exit_fd;
  int32_t pid;
};

/* In UP; each is followed by as many bytes of netlink's as it says. */
struct shared_setting {
  uint32_t length;
  uint32_t optional; /* so many from here on are left out where there is no IPv6; 0: it must be */
};

/* Whether the caller asks for it, by --shared or SLIPWAY_SHARED=1, for a command that can have it. */
bool shared_is_wanted(char **argv);

/*
 * Does not return while the daemon serves: ends this process when the network ends. Returns when there
 * is no daemon that would, and nothing was done then; or when it has died: then SLIPWAY_TAKEN has the
 * descriptors of the TAP, the API's socket and what was KEPT, each -1 where there is none, and the
 * process that is started goes on with them.
 */
void shared_serve(char **argv);

/* Has the daemon answer a command that asks it, and exits. Returns when there is none that would, and
 * nothing was done then. */
void shared_ask(char **argv);

#endif
