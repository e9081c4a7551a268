/*
 * Our epoll set blocks in libuv's stead. A uv_prepare callback, which libuv runs right before it
 * polls, waits for our descriptors and for libuv's own (uv_backend_fd is a member of the set), no
 * longer than libuv itself would, and stays there, wake-up after wake-up, as long as libuv has
 * nothing to do. Each return to libuv would cost an epoll_pwait of its own: two of the ten system
 * calls of a request and its response.
 *
 * Invariants:
 * - On leaving the callback the idle handle is active, or libuv would block without our
 *   descriptors.
 * - We neither block nor stay while libuv has an event, a timer that is due, an immediate, a handle
 *   to close, or watchers that it has not yet told its own epoll about.
 *
 * #syscalls node: epoll_wait epoll_pwait epoll_pwait2 epoll_ctl
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "limit.h"
#include "spin.h"
#include "watch.h"

enum { PAIRS_MAX = 1024, SPIN_US_MAX = 1000, LIMIT_SECONDS_MAX = 3600 };

/* Deadlines in milliseconds of uv_now, which every wake-up reads once for everybody. */
#define DEADLINE_NEVER UINT64_MAX
#define DEADLINE_NOW 0
#define NS_PER_MS 1e6

/* Where events are written, and how many pairs fit. */
struct events {
  int32_t *pairs;
  int capacity;
};

struct loop {
  struct instance *instance;
  uv_loop_t *uv;
  uv_prepare_t prepare;
  uv_idle_t awake;
  int open_handles; /* of the two above */
  napi_async_cleanup_hook_handle cleanup;
  napi_ref on_wake;
  napi_ref events_array;
  struct events events;
  uint64_t deadline;
  uint64_t nap_until; /* of uv_hrtime, instead of a deadline within a millisecond; 0: none */
  bool libuv_has_event;
  struct spin spin;
  struct limit limit; /* of a turn */
  struct epoll_event ready[PAIRS_MAX];
};

static void on_awake(uv_idle_t *awake) {
  (void)awake;
}

static int ms_until_deadline(const struct loop *loop) {
  if (loop->deadline == DEADLINE_NEVER) return -1;
  uint64_t now = uv_now(loop->uv);
  if (loop->deadline <= now) return 0;
  return loop->deadline - now > INT_MAX ? INT_MAX : (int)(loop->deadline - now);
}

/* -1 is for ever. */
static int sooner(int a, int b) {
  if (a < 0) return b;
  if (b < 0) return a;
  return a < b ? a : b;
}

/*
 * uv_backend_timeout is 0 also while libuv has watchers that it has not yet told its own epoll
 * about (src/unix/core.c since libuv 1.44 at the latest, so in all of Node 22 to 26).
 */
static int blocking_time(const struct loop *loop) {
  return sooner(uv_backend_timeout(loop->uv), ms_until_deadline(loop));
}

/* Returns the number of pairs written. */
static int report_events(struct loop *loop, int count) {
  int pairs = 0;
  loop->libuv_has_event = false;
  for (int i = 0; i < count; i++) {
    const struct epoll_event *event = &loop->ready[i];
    if (event->data.u64 == WATCH_LIBUV) {
      loop->libuv_has_event = true; /* libuv polls next, and sees it then */
      continue;
    }
    loop->events.pairs[2 * pairs] = (int32_t)event->data.u32;
    loop->events.pairs[2 * pairs + 1] = (int32_t)event->events;
    pairs++;
  }
  return pairs;
}

/* To process.on('uncaughtException'), which by default ends the process with a stack trace. */
static void raise_uncaught(napi_env env) {
  bool pending = false;
  napi_value error = NULL;
  napi_is_exception_pending(env, &pending);
  if (!pending) return; /* the thread is being terminated */
  napi_get_and_clear_last_exception(env, &error);
  napi_fatal_exception(env, error);
}

/* An unusable result, or an exception that somebody handled, asks for a call at once. */
static uint64_t deadline_from(struct loop *loop, napi_value result) {
  napi_env env = loop->instance->env;
  double ms = 0;
  if (napi_get_value_double(env, result, &ms) != napi_ok || isnan(ms)) {
    napi_throw_type_error(env, "ERR_INVALID_RETURN_VALUE", "onWake must return a number");
    raise_uncaught(env);
    return DEADLINE_NOW;
  }
  if (ms < 0 || ms > INT_MAX) return DEADLINE_NEVER;
  if (ms > 0 && ms < 1) {
    loop->nap_until = uv_hrtime() + (uint64_t)(ms * NS_PER_MS);
    return DEADLINE_NEVER;
  }
  return ms == 0 ? DEADLINE_NOW : uv_now(loop->uv) + (uint64_t)ceil(ms);
}

static uint64_t call_on_wake(struct loop *loop, int pairs) {
  napi_env env = loop->instance->env;
  napi_value on_wake = NULL;
  napi_value receiver = NULL;
  napi_value arguments[2] = {NULL, NULL};
  napi_value result = NULL;
  napi_get_reference_value(env, loop->on_wake, &on_wake);
  napi_get_undefined(env, &receiver);
  napi_create_int32(env, pairs, &arguments[0]);
  napi_create_double(env, (double)uv_now(loop->uv), &arguments[1]);
  if (napi_call_function(env, receiver, on_wake, 2, arguments, &result) != napi_ok) {
    raise_uncaught(env);
    return DEADLINE_NOW;
  }
  return deadline_from(loop, result);
}

/*
 * Opens no callback scope: its bookkeeping for promises and async hooks costs 0.4 us of every wake-up, and code
 * that needs them has setImmediate.
 */
static void wake(struct loop *loop, int pairs) {
  napi_env env = loop->instance->env;
  napi_handle_scope handles = NULL;
  napi_open_handle_scope(env, &handles);
  loop->nap_until = 0;
  loop->deadline = call_on_wake(loop, pairs);
  napi_close_handle_scope(env, handles);
}

static bool is_running(const struct loop *loop) {
  return loop->instance->loop == loop;
}

static bool libuv_is_idle(const struct loop *loop) {
  return !loop->libuv_has_event && uv_backend_timeout(loop->uv) != 0;
}

static int wait_for(struct loop *loop, int ms) {
  return epoll_wait(loop->instance->epoll, loop->ready, loop->events.capacity, ms);
}

/*
 * Waits for a fraction of a millisecond, which epoll_wait does not know. Linux has the call since 5.11, C
 * libraries later; without it the wait is 1 ms.
 */
static int nap(struct loop *loop) {
  uint64_t now = uv_hrtime();
  if (now >= loop->nap_until) return wait_for(loop, 0);
  struct timespec rest = {.tv_nsec = (long)(loop->nap_until - now)};
  int count = (int)syscall(SYS_epoll_pwait2, loop->instance->epoll, loop->ready, loop->events.capacity,
                           &rest, NULL, (size_t)0);
  return count < 0 && errno != EINTR ? wait_for(loop, 1) : count;
}

static bool is_due(const struct loop *loop) {
  if (loop->nap_until > 0) return uv_hrtime() >= loop->nap_until;
  return ms_until_deadline(loop) == 0;
}

/*
 * Returns the number of events, or 0 when none came in time. No sched_yield: on a busy processor that gives
 * milliseconds away, while a sleeper would get the processor back at once.
 */
static int spin_for(struct loop *loop) {
  struct spin *spin = &loop->spin;
  uint64_t end = uv_hrtime() + spin->nanoseconds;
  do {
    int count = wait_for(loop, 0);
    if (count != 0) {
      spin_hit(spin);
      return count;
    }
  } while (uv_hrtime() < end);
  spin_missed(spin);
  return 0;
}

static void wait_and_wake(struct loop *loop) {
  limit_turn(&loop->limit);
  int ms = blocking_time(loop);
  int count = ms != 0 && spin_may(&loop->spin) ? spin_for(loop) : 0;
  /* On a signal count is -1; libuv finds what Node's handler wrote into its pipe. */
  if (count == 0) count = ms != 0 && loop->nap_until > 0 ? nap(loop) : wait_for(loop, ms);
  uv_update_time(loop->uv);
  int pairs = report_events(loop, count);
  if (pairs > 0 || is_due(loop)) wake(loop, pairs);
}

static void on_prepare(uv_prepare_t *prepare) {
  struct loop *loop = prepare->data;
  uv_idle_stop(&loop->awake);
  uv_update_time(loop->uv);
  do {
    wait_and_wake(loop);
  } while (is_running(loop) && libuv_is_idle(loop));
  if (is_running(loop)) uv_idle_start(&loop->awake, on_awake);
}

/* Here and not in stop(), which may run within on_wake. */
static void release(struct loop *loop) {
  napi_env env = loop->instance->env;
  if (loop->on_wake != NULL) napi_delete_reference(env, loop->on_wake);
  if (loop->events_array != NULL) napi_delete_reference(env, loop->events_array);
  free(loop);
}

static void on_closed(uv_handle_t *handle) {
  struct loop *loop = handle->data;
  if (--loop->open_handles > 0) return;
  napi_async_cleanup_hook_handle cleanup = loop->cleanup;
  release(loop);
  napi_remove_async_cleanup_hook(cleanup); /* the environment may go after this */
}

/* May run within on_wake: the memory lives until libuv's closing phase. */
static void stop(struct loop *loop) {
  loop->instance->loop = NULL;
  limit_disarm(&loop->limit);
  epoll_ctl(loop->instance->epoll, EPOLL_CTL_DEL, uv_backend_fd(loop->uv), NULL);
  uv_close((uv_handle_t *)&loop->prepare, on_closed);
  uv_close((uv_handle_t *)&loop->awake, on_closed);
}

static void on_environment_end(napi_async_cleanup_hook_handle cleanup, void *data) {
  struct loop *loop = data;
  (void)cleanup;
  if (loop->instance->loop == loop) stop(loop);
}

static bool start_handles(struct loop *loop) {
  struct epoll_event libuv = {.events = EPOLLIN, .data.u64 = WATCH_LIBUV};
  int backend = uv_backend_fd(loop->uv);
  if (epoll_ctl(loop->instance->epoll, EPOLL_CTL_ADD, backend, &libuv) < 0) return false;
  uv_prepare_init(loop->uv, &loop->prepare);
  uv_idle_init(loop->uv, &loop->awake);
  loop->prepare.data = loop;
  loop->awake.data = loop;
  loop->open_handles = 2;
  uv_prepare_start(&loop->prepare, on_prepare);
  return true;
}

static bool hold_references(struct loop *loop, napi_value on_wake, napi_value events_array) {
  napi_env env = loop->instance->env;
  return napi_create_reference(env, on_wake, 1, &loop->on_wake) == napi_ok &&
         napi_create_reference(env, events_array, 1, &loop->events_array) == napi_ok &&
         napi_get_uv_event_loop(env, &loop->uv) == napi_ok;
}

/* NULL: out of resources. */
static struct loop *start(struct instance *instance, struct events events, napi_value on_wake,
                          napi_value events_array) {
  struct loop *loop = calloc(1, sizeof(*loop));
  if (loop == NULL) return NULL;
  loop->instance = instance;
  loop->events = events;
  loop->deadline = DEADLINE_NOW;
  if (hold_references(loop, on_wake, events_array) && start_handles(loop)) {
    napi_add_async_cleanup_hook(instance->env, on_environment_end, loop, &loop->cleanup);
    return loop;
  }
  release(loop);
  return NULL;
}

static struct events call_events(struct call *call, size_t index) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void *data = NULL;
  napi_status status = napi_get_typedarray_info(call->env, call->arguments[index], &type, &length,
                                                &data, NULL, NULL);
  if (status != napi_ok || type != napi_int32_array || length < 2) {
    call_wrong_type(call, "an Int32Array of 2 or more");
    return (struct events){0};
  }
  int capacity = length / 2 > PAIRS_MAX ? PAIRS_MAX : (int)(length / 2);
  return (struct events){.pairs = data, .capacity = capacity};
}

static void call_function(struct call *call, size_t index) {
  napi_valuetype type = napi_undefined;
  napi_typeof(call->env, call->arguments[index], &type);
  if (type != napi_function) call_wrong_type(call, "a function");
}

static napi_value loop_start(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  if (call.instance->loop != NULL) {
    napi_throw_error(env, "ERR_LOOP_RUNNING", "node-tuntap2: the loop runs already");
    return NULL;
  }
  call_function(&call, 0);
  struct events events = call_events(&call, 1);
  if (!call_ok(&call)) return call_end_value(&call, NULL);
  call.instance->loop = start(call.instance, events, call.arguments[0], call.arguments[1]);
  if (call.instance->loop == NULL) {
    napi_throw_error(env, "ERR_LOOP_RESOURCES", "node-tuntap2: the loop could not start");
  }
  return NULL;
}

static napi_value loop_stop(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  if (call.instance->loop != NULL) stop(call.instance->loop);
  return NULL;
}

static napi_value loop_spin(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  uint32_t microseconds = call_size(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (call.instance->loop == NULL || microseconds > SPIN_US_MAX) return call_end(&call, -EINVAL);
  call.instance->loop->spin.nanoseconds = microseconds * UINT64_C(1000);
  return call_end(&call, 0);
}

static napi_value loop_limit(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  uint32_t seconds = call_size(&call, 0);
  struct range words = call_bytes(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (call.instance->loop == NULL || seconds == 0 || seconds > LIMIT_SECONDS_MAX ||
      words.length > LIMIT_WORDS_MAX)
    return call_end(&call, -EINVAL);
  struct limit *limit = &call.instance->loop->limit;
  limit_disarm(limit); /* before its words change */
  memcpy(limit->last_words, words.base, words.length);
  limit->length = words.length;
  return call_end(&call, limit_arm(limit, seconds));
}

const struct method loop_methods[] = {
    {"loopStart", loop_start},
    {"loopStop", loop_stop},
    {"loopSpin", loop_spin},
    {"loopLimit", loop_limit},
    {NULL, NULL},
};
