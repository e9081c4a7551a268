/* The API's socket, which this process binds for the daemon, and whose file it removes. */
#ifndef SLIPWAY_API_SOCKET_H
#define SLIPWAY_API_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct api_socket {
  int fd; /* -1: there is none */
  const char *path;
  struct stat file; /* its inode is 0 while there is no file of ours */
  pid_t keeper;     /* 0: there is none */
};

/*
 * Listens at a path. Replaces a socket on which nobody listens, left by a process that was killed. False: failed.
 */
bool api_socket_listen(struct api_socket *api, const char *path);

/* Removes the file, unless it is another by now. */
void api_socket_remove(const struct api_socket *api);

/*
 * Forks a keeper (sandbox/keeper.h), which removes the file if we are killed. The keeper overwrites its copy of
 * `argv`.
 */
void api_socket_keep(struct api_socket *api, char **argv);

/* Ends the keeper: the Node that we become starts its own. */
void api_socket_end_keeper(const struct api_socket *api);

#endif
