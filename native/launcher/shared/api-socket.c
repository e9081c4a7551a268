#include "api-socket.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "../common/rename.h"
#include "../sandbox/keeper.h"

enum { API_UMASK = 0177, API_BACKLOG = 4096 };

static int bind_privately(int fd, const struct sockaddr_un *address) {
  mode_t before = umask(API_UMASK);
  int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
  umask(before);
  return result;
}

/* A process that was killed leaves a socket on which nobody listens. */
static bool remove_stale(const struct sockaddr_un *address) {
  struct stat status;
  if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) return false;
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int result = connect(probe, (const struct sockaddr *)address, sizeof(*address));
  bool is_stale = result < 0 && errno == ECONNREFUSED;
  close(probe);
  return is_stale && unlink(address->sun_path) == 0;
}

bool api_socket_listen(struct api_socket *api, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) return false;
  strcpy(address.sun_path, path);
  api->path = path;
  api->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (api->fd < 0) return false;
  if (bind_privately(api->fd, &address) < 0 &&
      (errno != EADDRINUSE || !remove_stale(&address) || bind_privately(api->fd, &address) < 0)) {
    return false;
  }
  return lstat(path, &api->file) == 0 && listen(api->fd, API_BACKLOG) == 0;
}

void api_socket_remove(const struct api_socket *api) {
  struct stat now;
  if (api->file.st_ino == 0 || lstat(api->path, &now) < 0) return;
  if (now.st_dev != api->file.st_dev || now.st_ino != api->file.st_ino) return;
  unlink(api->path);
}

void api_socket_keep(struct api_socket *api, char **argv) {
  int pair[2];
  if (api->file.st_ino == 0 || process_socketpair(pair) < 0) return;
  pid_t pid = process_fork();
  if (pid == 0) {
    close(pair[0]);
    rename_process(argv, "slipway-keeper");
    keeper_run(pair[1], "/etc/resolv.conf", api->path);
  }
  close(pair[1]);
  if (pid < 0) close(pair[0]);
  else api->keeper = pid;
}

void api_socket_end_keeper(const struct api_socket *api) {
  if (api->keeper == 0) return;
  kill(api->keeper, SIGKILL);
  process_reap(api->keeper);
}
