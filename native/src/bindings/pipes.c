/* Pipes, and moving bytes through them from one descriptor to another without a copy. */
#include <fcntl.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

/* #syscalls node: pipe2 fcntl(1=F_SETPIPE_SZ) */
static napi_value make_pipe(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  uint32_t capacity = call_size(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return call_end_syscall(&call, -1);
  /* Beyond the user's limit (pipe(7), pipe-user-pages-soft) the capacity stays as it is. */
  fcntl(ends[1], F_SETPIPE_SZ, (int)capacity);
  napi_value pipe = NULL;
  napi_create_object(env, &pipe);
  struct handles *handles = &call.instance->handles;
  call_set_number(&call, pipe, "readEnd", handles_issue(handles, ends[0], HANDLE_PLAIN));
  call_set_number(&call, pipe, "writeEnd", handles_issue(handles, ends[1], HANDLE_PLAIN));
  return call_end_value(&call, pipe);
}

/* #syscalls node: splice */
static napi_value splice_bytes(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  int from = call_fd(&call, 0);
  int to = call_fd(&call, 1);
  uint32_t length = call_size(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(
      &call, splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

const struct method pipe_methods[] = {
    {"pipe", make_pipe},
    {"splice", splice_bytes},
    {NULL, NULL},
};
