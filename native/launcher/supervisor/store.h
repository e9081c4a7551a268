/*
 * What a daemon leaves to the one after it: the TAPs of members that stay, kept by the supervisor, as systemd's
 * file descriptor store keeps sockets. So a daemon that starts after a crash enters no namespace.
 *
 * The daemon reads guests' packets, and may be anybody's by the time that it writes here: each message is of one
 * size, its name is compared and nothing else, and what comes along is kept only if it is one TAP. So it can leave
 * to its successor nothing but what it had.
 *
 * It vouches for the namespaces of these TAPs, too: their list, a line DEVICE:INODE COOKIE for each, stands where
 * no daemon can write after its lock-down. It is locked (flock(2)) while its supervisor lives. A daemon that is started
 * when there is no supervisor any more may enter these and no others.
 *
 * Over SOCK_SEQPACKET, a new pair for each daemon:
 *   supervisor -> daemon: STORE_KEEP with a TAP, for each that is kept; then STORE_END
 *   daemon -> supervisor: STORE_KEEP with a TAP, which replaces one of that name; STORE_DROP. Each is answered
 *   by STORE_DONE or STORE_REFUSED with its name; the daemon waits for that before it sends the next.
 */
#ifndef SLIPWAY_STORE_H
#define SLIPWAY_STORE_H

#include <stdint.h>
#include <sys/types.h>

enum {
  STORE_NAME_LENGTH = 64, /* bytes */
  STORE_CAPACITY = 1024,  /* TAPs */
};

enum store_kind {
  STORE_KEEP = 1,
  STORE_DROP = 2,
  STORE_DONE = 3,
  STORE_REFUSED = 4,
  STORE_END = 5,
};

struct store_message {
  uint32_t kind;
  uint8_t name[STORE_NAME_LENGTH];
};

/* Makes the pair for the daemon that is forked next. If that fails, the daemon has no store. */
void store_open(void);

/* In the daemon: lets its end pass over exec and names it in SLIPWAY_STORE. */
void store_inherit(void);

/* In the supervisor: moves its end to descriptor `number`, closing what that was. Returns the next number. */
unsigned store_move_to(unsigned number);

/* In the supervisor: serves the daemon until it has ended. Does not reap it. */
void store_serve(pid_t daemon);

#endif
