/* Held children as JavaScript sees them: the parent's side of held.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../broker/protocol.h"
#include "../call/call.h"
#include "../call/failure.h"
#include "../held/held.h"
#include "../call/instance.h"
#include "../os/process.h"

enum { FILE_MAX = 65536 };

static void free_strings(char **strings) {
  if (strings == NULL) return;
  for (size_t i = 0; strings[i] != NULL; i++) free(strings[i]);
  free(strings);
}

/* A copy to be freed, or NULL with the call's outcome set. */
static char *copy_string(struct call *call, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(call->env, value, NULL, 0, &length) != napi_ok) {
    call_wrong_type(call, "a string");
    return NULL;
  }
  char *text = malloc(length + 1);
  if (text == NULL) {
    call_fail(call, -ENOMEM);
    return NULL;
  }
  napi_get_value_string_utf8(call->env, value, text, length + 1, NULL);
  if (strlen(text) != length) call_fail(call, -EINVAL);
  return text;
}

static void call_object(struct call *call, size_t index) {
  napi_valuetype type = napi_undefined;
  napi_typeof(call->env, call->arguments[index], &type);
  if (type != napi_object) call_wrong_type(call, "an object of options");
}

/* undefined once the call has failed: no getter runs after that. */
static napi_value property(struct call *call, const char *name) {
  napi_value value = NULL;
  napi_get_undefined(call->env, &value);
  if (call_ok(call)) napi_get_named_property(call->env, call->arguments[0], name, &value);
  return value;
}

static char *string_property(struct call *call, const char *name) {
  napi_value value = property(call, name);
  return call_ok(call) ? copy_string(call, value) : NULL;
}

/* Ends with NULL, also when it is incomplete because the call failed. */
static char **strings_property(struct call *call, const char *name) {
  napi_value array = property(call, name);
  uint32_t count = 0;
  if (!call_ok(call)) return NULL;
  if (napi_get_array_length(call->env, array, &count) != napi_ok) {
    call_wrong_type(call, "an array of strings");
    return NULL;
  }
  char **strings = calloc((size_t)count + 1, sizeof(*strings));
  if (strings == NULL) {
    call_fail(call, -ENOMEM);
    return NULL;
  }
  for (uint32_t i = 0; i < count && call_ok(call); i++) {
    napi_value element = NULL;
    napi_get_element(call->env, array, i, &element);
    strings[i] = copy_string(call, element);
  }
  return strings;
}

/* Ends with -1. */
static int *numbers_property(struct call *call, const char *name) {
  napi_value array = property(call, name);
  uint32_t count = 0;
  if (!call_ok(call)) return NULL;
  if (napi_get_array_length(call->env, array, &count) != napi_ok) {
    call_wrong_type(call, "an array of numbers");
    return NULL;
  }
  int *numbers = calloc((size_t)count + 1, sizeof(*numbers));
  if (numbers == NULL) {
    call_fail(call, -ENOMEM);
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    napi_value element = NULL;
    napi_get_element(call->env, array, i, &element);
    if (napi_get_value_int32(call->env, element, &numbers[i]) != napi_ok) {
      call_wrong_type(call, "an array of numbers");
    }
  }
  numbers[count] = -1;
  return numbers;
}

/* NULL for null, and for what is not there. */
static char *nullable_property(struct call *call, const char *name) {
  napi_valuetype type = napi_undefined;
  napi_value value = property(call, name);
  if (!call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok) return NULL;
  return type == napi_null || type == napi_undefined ? NULL : copy_string(call, value);
}

static uint32_t id_property(struct call *call, const char *name) {
  uint32_t id = 0;
  napi_value value = property(call, name);
  if (call_ok(call) && napi_get_value_uint32(call->env, value, &id) != napi_ok) {
    call_wrong_type(call, "a number");
  }
  return id;
}

/* A property that is absent is false. */
static bool flag_property(struct call *call, const char *name) {
  bool flag = false;
  napi_valuetype type = napi_undefined;
  napi_value value = property(call, name);
  if (!call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok) return false;
  if (type == napi_undefined) return false;
  if (napi_get_value_bool(call->env, value, &flag) != napi_ok) call_wrong_type(call, "a boolean");
  return flag;
}

/* A property that is absent is 0. */
static int optional_number(struct call *call, const char *name) {
  int number = 0;
  napi_valuetype type = napi_undefined;
  napi_value value = property(call, name);
  if (!call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok) return 0;
  if (type == napi_undefined) return 0;
  if (napi_get_value_int32(call->env, value, &number) != napi_ok) call_wrong_type(call, "a number");
  return number;
}

static void write_map(struct call *call, const char *inside, const char *outside, char *map,
                      size_t capacity) {
  snprintf(map, capacity, "%u %u 1", id_property(call, inside), id_property(call, outside));
}

static void read_hostname(struct call *call, struct held_plan *plan) {
  napi_valuetype type = napi_undefined;
  size_t length = 0;
  napi_value value = property(call, "hostname");
  if (!call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok) return;
  if (type == napi_undefined || type == napi_null) return;
  if (napi_get_value_string_utf8(call->env, value, NULL, 0, &length) != napi_ok) {
    call_wrong_type(call, "a string");
  } else if (length >= sizeof(plan->hostname)) {
    call_fail(call, -ENAMETOOLONG);
  } else {
    napi_get_value_string_utf8(call->env, value, plan->hostname, sizeof(plan->hostname), NULL);
  }
}

static char *file_property(struct call *call, const char *name) {
  char *text = nullable_property(call, name);
  if (text != NULL && strlen(text) > FILE_MAX) call_fail(call, -E2BIG);
  return text;
}

static void read_plan(struct call *call, struct held_plan *plan) {
  plan->file = string_property(call, "file");
  plan->argv = strings_property(call, "argv");
  plan->env = strings_property(call, "env");
  write_map(call, "insideUid", "uid", plan->uid_map, sizeof(plan->uid_map));
  write_map(call, "insideGid", "gid", plan->gid_map, sizeof(plan->gid_map));
  write_map(call, "uid", "uid", plan->outer_uid_map, sizeof(plan->outer_uid_map));
  write_map(call, "gid", "gid", plan->outer_gid_map, sizeof(plan->outer_gid_map));
  plan->own_pids = flag_property(call, "ownPids");
  plan->joined = optional_number(call, "joined");
  plan->joined_namespaces = optional_number(call, "joinedNamespaces");
  plan->hidden = strings_property(call, "hidden");
  plan->keep = numbers_property(call, "keep");
  plan->ignore = numbers_property(call, "ignore");
  read_hostname(call, plan);
  plan->files[HELD_RESOLV_CONF] = file_property(call, "resolvConf");
  plan->files[HELD_HOSTS] = file_property(call, "hosts");
  plan->files[HELD_HOSTNAME] = file_property(call, "hostnameFile");
}

static void free_plan(struct held_plan *plan) {
  free((char *)plan->file);
  for (int i = 0; i < HELD_FILE_COUNT; i++) free((char *)plan->files[i]);
  free_strings(plan->argv);
  free_strings(plan->env);
  free_strings(plan->hidden);
  free(plan->keep);
  free(plan->ignore);
}

/* Descriptors that are no handles yet. */
struct held {
  pid_t pid;
  pid_t reaper; /* 0: there is none */
  int pidfd;
  int reaper_pidfd;
  int control;
  int reaper_error; /* why there is none though one was wanted, or 0 */
};

static const char *subject_of(enum step step) {
  switch (step) {
    case STEP_SETGROUPS:
      return "/proc/self/setgroups";
    case STEP_UID_MAP:
      return "/proc/self/uid_map";
    case STEP_GID_MAP:
      return "/proc/self/gid_map";
    case STEP_RESOLV_CONF:
      return "/etc/resolv.conf";
    default:
      return "";
  }
}

/* From now on these two are waited for; what has made them ends. */
static void adopt(struct held *held, const struct held_report *report) {
  if (report->command > 0) {
    process_reap(held->pid);
    held->pid = report->command;
  }
  held->reaper_error = report->reaper_error;
  if (report->reaper > 0 && report->reaper_error < 0) process_reap(report->reaper);
  else held->reaper = report->reaper;
}

static int wait_until_ready(struct failure *failure, struct held *held) {
  struct held_report report;
  if (process_recv(held->control, &report, sizeof(report)) != sizeof(report)) {
    return failure_set(failure, STEP_FORK, "", -ECHILD);
  }
  adopt(held, &report);
  if (report.error == 0) return 0;
  enum step step = report.step < STEP_COUNT ? (enum step)report.step : STEP_FORK;
  return failure_set(failure, step, subject_of(step), report.error);
}

static int open_pidfd(struct failure *failure, pid_t pid, int *pidfd) {
  *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  return *pidfd < 0 ? failure_set(failure, STEP_PIDFD_OPEN, "", -errno) : 0;
}

static int fork_held(struct instance *instance, const struct held_plan *plan, struct held *held) {
  int pair[2];
  if (process_socketpair(pair) < 0) {
    return failure_set(&instance->failure, STEP_SOCKETPAIR, "", -errno);
  }
  held->pid = process_fork();
  if (held->pid == 0) {
    close(pair[0]);
    handles_close_all(&instance->handles);
    held_run(plan, pair[1]);
  }
  int error = -errno;
  close(pair[1]);
  held->control = pair[0];
  if (held->pid > 0) return 0;
  close(pair[0]);
  return failure_set(&instance->failure, STEP_FORK, "", error);
}

/* Closes the control socket, on which the child ends, and on that the reaper. */
static void abandon(const struct held *held) {
  shutdown(held->control, SHUT_RDWR);
  close(held->control);
  if (held->pidfd >= 0) close(held->pidfd);
  process_reap(held->pid);
  if (held->reaper > 0) process_reap(held->reaper);
}

static int ask_broker(struct instance *instance, const struct held_plan *plan, struct held *held) {
  if (instance->broker_keeps) return failure_set(&instance->failure, STEP_BROKER, "", -EPERM);
  int error = broker_spawn(instance->broker, plan, &held->pid, &held->control);
  return error < 0 ? failure_set(&instance->failure, STEP_FORK, "", error) : 0;
}

static int spawn(struct instance *instance, const struct held_plan *plan, struct held *held) {
  /* The broker enters nobody's namespaces for a command. */
  bool is_ours = instance->broker < 0 || plan->joined > 0;
  int error = is_ours ? fork_held(instance, plan, held) : ask_broker(instance, plan, held);
  if (error < 0) return error;
  error = wait_until_ready(&instance->failure, held);
  if (error == 0) error = open_pidfd(&instance->failure, held->pid, &held->pidfd);
  if (error == 0 && held->reaper > 0) {
    error = open_pidfd(&instance->failure, held->reaper, &held->reaper_pidfd);
  }
  if (error < 0) abandon(held);
  return error;
}

static void set_number(napi_env env, napi_value object, const char *name, int number) {
  napi_value value = NULL;
  napi_create_int32(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

static napi_value held_object(struct call *call, const struct held *held) {
  struct handles *handles = &call->instance->handles;
  napi_value object = NULL;
  napi_create_object(call->env, &object);
  set_number(call->env, object, "pid", held->pid);
  set_number(call->env, object, "pidfd", handles_issue(handles, held->pidfd, HANDLE_PIDFD));
  set_number(call->env, object, "control", handles_issue(handles, held->control, HANDLE_CONTROL));
  int reaper = held->reaper_pidfd;
  if (reaper >= 0) set_number(call->env, object, "reaper", handles_issue(handles, reaper, HANDLE_PIDFD));
  set_number(call->env, object, "reaperError", held->reaper_error);
  return object;
}

static napi_value spawn_held(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct held_plan plan = {0};
  struct held held = {.pidfd = -1, .reaper_pidfd = -1};
  call_object(&call, 0);
  read_plan(&call, &plan);
  if (call_ok(&call)) call_fail(&call, spawn(call.instance, &plan, &held));
  free_plan(&plan);
  return call_ok(&call) ? held_object(&call, &held) : call_end(&call, 0);
}

/* exec closes the socket: the end of it is success. */
static int release(int control) {
  struct held_report report = {0};
  if (process_send(control, "", 1) < 0) return -errno;
  process_recv(control, &report, sizeof(report));
  return report.error;
}

static napi_value release_spawned(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int control = call_handle(&call, 0, HANDLE_CONTROL);
  if (!call_ok(&call)) return call_end(&call, 0);
  int result = release(control);
  handles_forget(&call.instance->handles, control);
  close(control);
  return call_end(&call, result);
}

const struct method spawn_methods[] = {
    {"spawnHeld", spawn_held},
    {"releaseSpawned", release_spawned},
    {NULL, NULL},
};
