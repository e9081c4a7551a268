/* Where the daemon of a user is found: as src/rpc/daemon-paths.ts has it. */
#ifndef SLIPWAY_DAEMON_PATHS_H
#define SLIPWAY_DAEMON_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

/* The socket for launchers. False: its path is too long, or somebody else may replace what is there. */
bool daemon_paths_launchers(struct sockaddr_un *address);

/*
 * The file that tells the next daemon which namespaces it may enter; outside of all that a daemon can write. False:
 * it would be too long, or somebody else may replace what is there.
 */
bool daemon_paths_stayed(char *path, size_t capacity);

#endif
