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

/* Listens at a path, also where a process that was killed has left a socket. False: it can't. */
bool api_socket_listen(struct api_socket *api, const char *path);

/* Removes the file, if it still is ours. */
void api_socket_remove(const struct api_socket *api);

/* Forks a keeper (sandbox/keeper.h), which removes the file when we are killed. It writes over `argv`. */
void api_socket_keep(struct api_socket *api, char **argv);

/* Ends the keeper: the process that we become has one of its own. */
void api_socket_end_keeper(const struct api_socket *api);

#endif
