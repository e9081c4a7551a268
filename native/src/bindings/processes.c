/*
 * Processes by pidfd: our children, and others. In the sandbox no more pidfds can be opened, so the
 * signals reach nobody but the command of `run`.
 *
 * #syscalls run: waitid pidfd_send_signal
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../broker/client.h"
#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

/* glibc has P_PIDFD since 2.36; the kernel's number. */
enum { WAIT_PIDFD = 3, KILLED_BASE = 256, STOPPED_BASE = 512 };

static int status_of(const siginfo_t *info) {
  switch (info->si_code) {
    case CLD_EXITED:
      return info->si_status;
    case CLD_STOPPED:
      return STOPPED_BASE + info->si_status;
    default: /* CLD_KILLED, CLD_DUMPED */
      return KILLED_BASE + info->si_status;
  }
}

static int wait_now(int pidfd) {
  siginfo_t info = {.si_pid = 0};
  if (waitid((idtype_t)WAIT_PIDFD, (id_t)pidfd, &info, WEXITED | WSTOPPED | WNOHANG) < 0) {
    return -errno;
  }
  return info.si_pid == 0 ? -EAGAIN : status_of(&info);
}

static napi_value wait_child(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int pidfd = call_handle(&call, 0, HANDLE_PIDFD);
  return call_end(&call, call_ok(&call) ? wait_now(pidfd) : 0);
}

static napi_value open_pidfd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int pid = call_int(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  int pidfd = broker_open_process(&call.instance->broker, pid);
  if (pidfd < 0) return call_end(&call, pidfd);
  return call_end(&call, handles_issue(&call.instance->handles, pidfd, HANDLE_PIDFD));
}

static napi_value signal_pidfd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int pidfd = call_handle(&call, 0, HANDLE_PIDFD);
  int signal = call_int(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(&call, syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

const struct method process_methods[] = {
    {"waitChild", wait_child},
    {"pidfdOpen", open_pidfd},
    {"pidfdSignal", signal_pidfd},
    {NULL, NULL},
};
