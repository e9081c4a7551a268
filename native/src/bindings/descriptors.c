/* Descriptors of any kind: how they become handles, and how they are closed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../loop/watch.h"

static napi_value is_open_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  napi_value open = NULL;
  napi_get_boolean(env, fcntl(call_number(&call, 0), F_GETFD) >= 0, &open);
  return call_end_value(&call, open);
}

static int adopt(struct handles *handles, int fd) {
  if (handles_has(handles, fd, HANDLE_ANY)) return -EEXIST;
  int flags = fcntl(fd, F_GETFD);
  if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
  return handles_issue(handles, fd, HANDLE_PLAIN);
}

static napi_value adopt_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_number(&call, 0);
  return call_end(&call, call_ok(&call) ? adopt(&call.instance->handles, fd) : 0);
}

static napi_value copy_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_number(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return call_end(&call, handles_issue(&call.instance->handles, copy, HANDLE_PLAIN));
}

/* #syscalls node: close shutdown */

/*
 * A held child or another process may hold a copy of the descriptor, which would keep its watch and keep a held
 * child waiting: both are ended explicitly.
 */
static int close_handle(struct instance *instance, int fd) {
  struct handles *handles = &instance->handles;
  if (handles_has(handles, fd, HANDLE_WATCHED)) watch_remove(instance, fd);
  if (handles_has(handles, fd, HANDLE_CONTROL)) shutdown(fd, SHUT_RDWR);
  handles_forget(handles, fd);
  return close(fd);
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_handle(&call, 0, HANDLE_ANY);
  return call_end_syscall(&call, call_ok(&call) ? close_handle(call.instance, fd) : 0);
}

/* #syscalls node: dup3 */
static napi_value replace_fd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  int by = call_fd(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (handles_has(&call.instance->handles, fd, HANDLE_WATCHED)) watch_remove(call.instance, fd);
  ssize_t replaced = dup3(by, fd, O_CLOEXEC);
  if (replaced < 0) return call_end_syscall(&call, replaced);
  close_handle(call.instance, by);
  return call_end(&call, replaced);
}

static napi_value release_output(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
    if (dup3(STDIN_FILENO, fd, O_CLOEXEC) < 0) return call_end(&call, -errno);
  }
  return call_end(&call, 0);
}

const struct method descriptor_methods[] = {
    {"releaseOutput", release_output},
    {"isOpenFd", is_open_fd},
    {"adoptFd", adopt_fd},
    {"copyFd", copy_fd},
    {"close", close_fd},
    {"replaceFd", replace_fd},
    {NULL, NULL},
};
