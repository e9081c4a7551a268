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
  FILTER_NEVER = 32,  /* never to be requested: calls that no program of ours makes */
};

/*
 * Limits the calling thread, or all threads at once, to the calls of `profiles`, for good. Other calls fail with
 * EPERM, so that a library that probes continues. Calls that neither our programs nor their libraries make, and
 * calls by another entry of the kernel, end the process by SIGSYS, which the kernel's audit log shows: somebody
 * has taken the process over. The thread must have no_new_privs. Returns 0 or a negative errno. Async-signal-safe.
 */
int filter_load(unsigned profiles, bool all_threads);

#endif
