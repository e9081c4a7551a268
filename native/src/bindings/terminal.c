/*
 * The controlling terminal, for the parent of a child in a PID namespace: a shell there that has made its own
 * process group the foreground can't give that back to ours, as ours has no number in its namespace.
 *
 * #syscalls run: ioctl(1=TIOCGPGRP) ioctl(1=TIOCSPGRP) kill(1=0)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

static napi_value open_terminal(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  return call_end(&call, handles_issue(&call.instance->handles, fd, HANDLE_PLAIN));
}

/* Nobody loses the terminal when its foreground group has no processes. */
static bool is_deserted(pid_t group) {
  return group > 0 && kill(-group, 0) < 0 && errno == ESRCH;
}

/* A background process that does this is stopped, unless it blocks the signal (tcsetpgrp(3)). */
static int take(int terminal, pid_t group) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  int result = tcsetpgrp(terminal, group) < 0 ? -errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

static napi_value reclaim_terminal(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int terminal = call_fd(&call, 0);
  int group = call_int(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, is_deserted(tcgetpgrp(terminal)) ? take(terminal, group) : 0);
}

const struct method terminal_methods[] = {
    {"openTerminal", open_terminal},
    {"reclaimTerminal", reclaim_terminal},
    {NULL, NULL},
};
