#include "handles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "instance.h"

enum { FIRST_CAPACITY = 64 };

static bool make_room(struct handles *handles, size_t index) {
  size_t capacity = handles->capacity == 0 ? FIRST_CAPACITY : handles->capacity;
  while (capacity <= index) capacity *= 2;
  if (capacity == handles->capacity) return true;
  uint8_t *kinds = realloc(handles->kinds, capacity);
  if (kinds == NULL) return false;
  memset(kinds + handles->capacity, 0, capacity - handles->capacity);
  handles->kinds = kinds;
  handles->capacity = capacity;
  return true;
}

int handles_issue(struct handles *handles, int fd, enum handle_kind kind) {
  if (fd < 0) return -errno;
  if (!make_room(handles, (size_t)fd)) {
    close(fd);
    return -ENOMEM;
  }
  handles->kinds[fd] = (uint8_t)kind;
  return fd;
}

void handles_forget(struct handles *handles, int fd) {
  handles->kinds[fd] = 0;
}

void handles_close_all(const struct handles *handles) {
  for (size_t fd = 0; fd < handles->capacity; fd++) {
    if (handles->kinds[fd] != 0) close((int)fd);
  }
}

void handles_free(struct handles *handles) {
  free(handles->kinds);
  *handles = (struct handles){0};
}

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

const struct method handle_methods[] = {
    {"isOpenFd", is_open_fd},
    {"adoptFd", adopt_fd},
    {"copyFd", copy_fd},
    {NULL, NULL},
};
