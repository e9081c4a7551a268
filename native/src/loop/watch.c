/* #syscalls node: epoll_ctl */
#include "watch.h"

#include <sys/epoll.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

int watch_remove(struct instance *instance, int fd) {
  instance->handles.kinds[fd] &= (uint8_t)~HANDLE_WATCHED;
  return epoll_ctl(instance->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* Arguments: fd, events, token. */
static napi_value control(napi_env env, napi_callback_info info, int operation) {
  struct call call = call_begin(env, info, 3);
  int fd = call_handle(&call, 0, HANDLE_ANY);
  struct epoll_event event = {.events = call_bits(&call, 1), .data.u64 = call_bits(&call, 2)};
  if (!call_ok(&call)) return call_end(&call, 0);
  int result = epoll_ctl(call.instance->epoll, operation, fd, &event);
  if (result == 0) call.instance->handles.kinds[fd] |= HANDLE_WATCHED;
  return call_end_syscall(&call, result);
}

static napi_value watch(napi_env env, napi_callback_info info) {
  return control(env, info, EPOLL_CTL_ADD);
}

static napi_value rewatch(napi_env env, napi_callback_info info) {
  return control(env, info, EPOLL_CTL_MOD);
}

static napi_value unwatch(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_handle(&call, 0, HANDLE_ANY);
  return call_end_syscall(&call, call_ok(&call) ? watch_remove(call.instance, fd) : 0);
}

const struct method watch_methods[] = {
    {"watch", watch},
    {"rewatch", rewatch},
    {"unwatch", unwatch},
    {NULL, NULL},
};
