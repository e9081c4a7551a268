/*
 * Going on in the background. The protocol with the parent that waits, over SOCK_SEQPACKET: one byte, with the descriptor of
 * the pid file if there is one, says that the network is up. The parent writes the sender's number into the file, as it is in
 * the parent's own PID namespace, and ends with 0. If the socket ends first, it ends with the exit status of its child, or 1.
 */
#ifndef SLIPWAY_BACKGROUND_H
#define SLIPWAY_BACKGROUND_H

#include <stdbool.h>

/*
 * Forks. Returns in the child, which leads a session of its own: the socket to the parent, close-on-exec. The parent does
 * not return.
 */
int background_enter(void);

/*
 * In the child, for a network that this process has without Node: lets the caller's outputs and everything else that was
 * inherited go, and has the parent write the number of this process and end. `pid_file` is -1 where there is none. False:
 * nobody waits any more, or there is no /dev/null; `parent` is open then.
 */
bool background_announce(int parent, int pid_file);

#endif
