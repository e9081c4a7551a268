#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "../common/inherited.h"
#include "../common/pid-file.h"
#include "../common/text.h"

/* What says that the network is up, and who said it. */
struct news {
  pid_t pid;
  int pid_file; /* -1: none */
};

static void take(struct news *news, const struct cmsghdr *part) {
  if (part->cmsg_level != SOL_SOCKET) return;
  if (part->cmsg_type == SCM_RIGHTS) memcpy(&news->pid_file, CMSG_DATA(part), sizeof(int));
  if (part->cmsg_type != SCM_CREDENTIALS) return;
  struct ucred sender;
  memcpy(&sender, CMSG_DATA(part), sizeof(sender));
  news->pid = sender.pid;
}

/* Returns whether it came. */
static int receive(int socket, struct news *news) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
  char byte;
  struct iovec iov = {&byte, sizeof(byte)};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  ssize_t length;
  do {
    length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length != 1) return 0;
  *news = (struct news){.pid_file = -1};
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    take(news, part);
  }
  return 1;
}

static _Noreturn void end_with(pid_t child) {
  int status = process_reap(child);
  _exit(status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

static _Noreturn void wait_until_up(int socket, pid_t child) {
  struct news news;
  if (!receive(socket, &news)) end_with(child);
  if (news.pid_file < 0 || pid_file_write(news.pid_file, news.pid) == 0) _exit(0);
  int error = errno;
  kill(news.pid, SIGTERM);
  text_fail("Couldn't write PID file: %s", strerror(error));
}

int background_enter(void) {
  int pair[2];
  int yes = 1;
  if (process_socketpair(pair) < 0 || setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0) {
    text_fail("can't go to the background: %s; -f stays in the foreground", strerror(errno));
  }
  pid_t child = fork();
  if (child < 0) text_fail("can't fork: %s; -f stays in the foreground", strerror(errno));
  close(pair[child > 0 ? 1 : 0]);
  if (child > 0) wait_until_up(pair[0], child);
  setsid();
  return pair[1];
}

static bool release_outputs(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) dup2(null, fd);
  close(null);
  return true;
}

bool background_announce(int parent, int pid_file) {
  if (!release_outputs()) return false;
  inherited_close();
  if (process_send_fd(parent, "", 1, 0, pid_file) != 1) return false;
  close(parent);
  return true;
}
