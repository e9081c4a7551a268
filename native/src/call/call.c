#include "call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "instance.h"

struct call call_begin_checked(napi_env env, napi_callback_info info, size_t count) {
  struct call call = {.env = env};
  void *data = NULL;
  /* Node-API fills missing arguments with undefined, which no reader accepts. */
  napi_get_cb_info(env, info, &count, call.arguments, NULL, &data);
  call.instance = data;
  return call;
}

void call_fail(struct call *call, int error) {
  if (call->error == 0) call->error = error;
}

void call_wrong_type(struct call *call, const char *what) {
  if (call->wrong_type == NULL) call->wrong_type = what;
}

int32_t call_int(struct call *call, size_t index) {
  int32_t value = 0;
  if (napi_get_value_int32(call->env, call->arguments[index], &value) != napi_ok) {
    call_wrong_type(call, "a number");
  }
  return value;
}

uint32_t call_bits(struct call *call, size_t index) {
  uint32_t value = 0;
  if (napi_get_value_uint32(call->env, call->arguments[index], &value) != napi_ok) {
    call_wrong_type(call, "a number");
  }
  return value;
}

uint32_t call_size(struct call *call, size_t index) {
  double value = 0;
  if (napi_get_value_double(call->env, call->arguments[index], &value) != napi_ok) {
    call_wrong_type(call, "a number");
    return UINT32_MAX;
  }
  /* The comparison is false for NaN, too; the conversion is only defined in range. */
  if (!(value >= 0 && value < UINT32_MAX)) return UINT32_MAX;
  uint32_t size = (uint32_t)value;
  return (double)size == value ? size : UINT32_MAX;
}

bool call_bool(struct call *call, size_t index) {
  bool value = false;
  if (napi_get_value_bool(call->env, call->arguments[index], &value) != napi_ok) {
    call_wrong_type(call, "a boolean");
  }
  return value;
}

int call_number(struct call *call, size_t index) {
  uint32_t value = call_size(call, index);
  return value > INT32_MAX ? -1 : (int)value;
}

int call_handle(struct call *call, size_t index, unsigned kinds) {
  int fd = call_number(call, index);
  if (!handles_has(&call->instance->handles, fd, kinds)) call_fail(call, -EBADF);
  return fd;
}

int call_fd(struct call *call, size_t index) {
  return call_handle(call, index, HANDLE_PLAIN);
}

struct memory *call_memory(struct call *call, size_t index) {
  struct memory *memory = memories_at(&call->instance->memories, call_size(call, index));
  if (memory == NULL) call_fail(call, -EFAULT);
  return memory;
}

struct range call_range(struct call *call, size_t index) {
  const struct memory *memory = call_memory(call, index);
  uint32_t offset = call_size(call, index + 1);
  uint32_t length = call_size(call, index + 2);
  if (memory == NULL || !memory_contains(memory, offset, length)) {
    call_fail(call, -EFAULT);
    return (struct range){0};
  }
  return (struct range){.base = memory->base + offset, .length = length};
}

struct range call_bytes(struct call *call, size_t index) {
  napi_typedarray_type type = napi_int8_array;
  void *data = NULL;
  size_t length = 0;
  napi_status status = napi_get_typedarray_info(call->env, call->arguments[index], &type, &length,
                                                &data, NULL, NULL);
  if (status != napi_ok || type != napi_uint8_array) {
    call_wrong_type(call, "a Uint8Array");
    return (struct range){0};
  }
  return (struct range){.base = data, .length = length};
}

void call_string(struct call *call, size_t index, char *buffer, size_t capacity) {
  size_t length = 0;
  buffer[0] = '\0';
  if (napi_get_value_string_utf8(call->env, call->arguments[index], NULL, 0, &length) != napi_ok) {
    call_wrong_type(call, "a string");
    return;
  }
  if (length >= capacity) call_fail(call, -ENAMETOOLONG);
  napi_get_value_string_utf8(call->env, call->arguments[index], buffer, capacity, NULL);
  if (length < capacity && strlen(buffer) != length) call_fail(call, -EINVAL);
}

bool call_is_null(struct call *call, size_t index) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(call->env, call->arguments[index], &type) == napi_ok && type == napi_null;
}

void call_set_number(const struct call *call, napi_value object, const char *name, int number) {
  napi_value value = NULL;
  napi_create_int32(call->env, number, &value);
  napi_set_named_property(call->env, object, name, value);
}

static void throw_wrong_type(const struct call *call) {
  char message[64];
  snprintf(message, sizeof(message), "node-tuntap2: expected %s", call->wrong_type);
  napi_throw_type_error(call->env, "ERR_INVALID_ARG_TYPE", message);
}

napi_value call_end(const struct call *call, ssize_t result) {
  napi_value value = NULL;
  /* An int64 is slower to make, and no syscall moves 2 GiB: Linux cuts at 0x7ffff000 bytes. */
  napi_create_int32(call->env, (int32_t)(call->error != 0 ? call->error : result), &value);
  return call_end_value(call, value);
}

napi_value call_end_syscall(const struct call *call, ssize_t result) {
  return call_end(call, result == -1 ? -errno : result);
}

napi_value call_end_value(const struct call *call, napi_value value) {
  if (call->wrong_type == NULL) return value;
  throw_wrong_type(call);
  return NULL;
}
