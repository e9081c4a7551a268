/*
 * One call from JavaScript: its arguments, read one after the other, and its result.
 *
 *   struct call call = call_begin(env, info, 4);
 *   int fd = call_fd(&call, 0);
 *   struct range range = call_range(&call, 1);
 *   return call_end_syscall(&call, call_ok(&call) ? read(fd, range.base, range.length) : 0);
 *
 * The first argument that does not hold decides the outcome; what the readers return after that is
 * harmless but meaningless, so nothing may be done unless call_ok().
 */
#ifndef TUNTAP2_CALL_H
#define TUNTAP2_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <node_api.h>

struct instance;

enum { CALL_MAX_ARGUMENTS = 5 };

struct call {
  napi_env env;
  struct instance *instance;
  const char *wrong_type; /* what was expected, when an argument had the wrong type */
  int error;              /* negative errno, when an argument was out of range */
  napi_value arguments[CALL_MAX_ARGUMENTS];
};

struct range {
  uint8_t *base;
  size_t length;
};

/* Does not compile for more arguments than `struct call` holds. */
#define call_begin(env, info, count)                                                            \
  call_begin_checked(env, info,                                                                 \
                     (count) + 0 * sizeof(struct {                                              \
                       _Static_assert((count) <= CALL_MAX_ARGUMENTS, "too many arguments");     \
                       char room;                                                               \
                     }))
struct call call_begin_checked(napi_env env, napi_callback_info info, size_t count);

static inline bool call_ok(const struct call *call) {
  return call->wrong_type == NULL && call->error == 0;
}

/* Makes `error` (negative errno) the outcome, unless there was an earlier one. */
void call_fail(struct call *call, int error);

/* Makes a TypeError the outcome: "expected WHAT". */
void call_wrong_type(struct call *call, const char *what);

/* Integers as C has them, modulo 2^32: flags, option values, tokens. */
int32_t call_int(struct call *call, size_t index);
uint32_t call_bits(struct call *call, size_t index);

/* Offsets, lengths, counts: anything but an integer of 0..2^32-1 becomes 2^32-1. */
uint32_t call_size(struct call *call, size_t index);

bool call_bool(struct call *call, size_t index);

/* A number that may be a descriptor; -1 for one that can't be. */
int call_number(struct call *call, size_t index);

/* A handle for ordinary syscalls, of one of `kinds` (handles.h); else EBADF. */
int call_fd(struct call *call, size_t index);
int call_handle(struct call *call, size_t index, unsigned kinds);

/* The memory whose number is argument `index`; else EFAULT. */
struct memory *call_memory(struct call *call, size_t index);

/* Arguments index, index+1, index+2: (mem, ptr, len). */
struct range call_range(struct call *call, size_t index);

struct range call_bytes(struct call *call, size_t index);

/*
 * Copies a string with its NUL to `buffer`. Longer ones are ENAMETOOLONG, ones with a NUL within
 * EINVAL: the kernel would see another name than JavaScript.
 */
void call_string(struct call *call, size_t index, char *buffer, size_t capacity);

bool call_is_null(struct call *call, size_t index);

/* Sets a property of a result. */
void call_set_number(const struct call *call, napi_value object, const char *name, int number);

/* `result` is a value or a negative errno. */
napi_value call_end(const struct call *call, ssize_t result);

/* `result` is what a syscall returned: a value, or -1 with errno. */
napi_value call_end_syscall(const struct call *call, ssize_t result);

/* For calls that return undefined, or a value of their own. */
napi_value call_end_value(const struct call *call, napi_value value);

#endif
