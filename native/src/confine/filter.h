/*
 * Seccomp filters: allow-lists, one for each kind of process. Their rows are not written here but
 * gathered by ../syscalls.sh from the comments beside the code that needs each call.
 */
#ifndef TUNTAP2_FILTER_H
#define TUNTAP2_FILTER_H

#include <stdbool.h>

enum filter_profile {
  FILTER_NODE = 1,
  FILTER_RUN = 2, /* goes with FILTER_NODE */
  FILTER_KEEPER = 4,
  FILTER_AGENT = 8,
  FILTER_DAEMON = 16, /* goes with FILTER_NODE */
  FILTER_NEVER = 32,  /* not to be asked for: what no program of ours calls, whatever its profiles */
};

/*
 * Confines the calling thread, or all threads at once, to the calls of `profiles`, for good. What is
 * not allowed answers EPERM: a library that probes goes on. What no program of ours and no library of theirs
 * calls, and what comes by another entry of the kernel's, ends the process by SIGSYS, and the kernel's
 * audit log says so: whoever does that has taken the process over. The thread must have no_new_privs.
 * Returns 0 or a negative errno. Async-signal-safe.
 */
int filter_load(unsigned profiles, bool all_threads);

#endif
