/*
 * Bytes to and from a descriptor of any kind, one system call a function.
 *
 * #syscalls node: read write getrandom
 */
#include <sys/random.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/methods.h"

static napi_value read_range(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range range = call_range(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? read(fd, range.base, range.length) : 0);
}

static napi_value write_range(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range range = call_range(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? write(fd, range.base, range.length) : 0);
}

static napi_value write_bytes(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? write(fd, bytes.base, bytes.length) : 0);
}

static napi_value read_bytes(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? read(fd, bytes.base, bytes.length) : 0);
}

static napi_value get_random(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct range bytes = call_bytes(&call, 0);
  return call_end_syscall(&call, call_ok(&call) ? getrandom(bytes.base, bytes.length, 0) : 0);
}

const struct method byte_methods[] = {
    {"read", read_range},
    {"write", write_range},
    {"writeBytes", write_bytes},
    {"readBytes", read_bytes},
    {"getRandom", get_random},
    {NULL, NULL},
};
