/* Where the daemon of a user listens: the same rule as src/rpc/daemon-paths.ts. */
#ifndef SLIPWAY_DAEMON_PATHS_H
#define SLIPWAY_DAEMON_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

/* The socket for launchers. False: its path is too long, or others could replace it. */
bool daemon_paths_launchers(struct sockaddr_un *address);

/*
 * The file that tells the next daemon which namespaces it may enter. It lies outside of everything that a daemon
 * can write. False: its path is too long, or others could replace it.
 */
bool daemon_paths_stayed(char *path, size_t capacity);

#endif
