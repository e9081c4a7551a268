#include "spawn-options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void call_object(struct call *call) {
  napi_valuetype type = napi_undefined;
  napi_typeof(call->env, call->arguments[0], &type);
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

static bool is_absent(struct call *call, const char *name) {
  napi_valuetype type = napi_undefined;
  napi_value value = property(call, name);
  return !call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok || type == napi_undefined;
}

/* Leaves the buffer as it is for null, and for what is not there. */
static void text_property(struct call *call, const char *name, char *buffer, size_t capacity) {
  napi_valuetype type = napi_undefined;
  size_t length = 0;
  napi_value value = property(call, name);
  if (!call_ok(call) || napi_typeof(call->env, value, &type) != napi_ok) return;
  if (type == napi_undefined || type == napi_null) return;
  if (napi_get_value_string_utf8(call->env, value, NULL, 0, &length) != napi_ok) {
    call_wrong_type(call, "a string");
  } else if (length >= capacity) {
    call_fail(call, -ENAMETOOLONG);
  } else {
    napi_get_value_string_utf8(call->env, value, buffer, capacity, NULL);
  }
}

static void read_more_ids(struct call *call, struct held_plan *plan) {
  if (is_absent(call, "newuidmap")) return;
  plan->newuidmap = strings_property(call, "newuidmap");
  plan->newgidmap = strings_property(call, "newgidmap");
  text_property(call, "uidMap", plan->uid_map, sizeof(plan->uid_map));
  text_property(call, "gidMap", plan->gid_map, sizeof(plan->gid_map));
}

static char *file_property(struct call *call, const char *name) {
  char *text = nullable_property(call, name);
  if (text != NULL && strlen(text) > FILE_MAX) call_fail(call, -E2BIG);
  return text;
}

void spawn_options_read(struct call *call, struct held_plan *plan) {
  call_object(call);
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
  plan->joined_netns = nullable_property(call, "joinedNetns");
  plan->hidden = strings_property(call, "hidden");
  plan->directory = nullable_property(call, "directory");
  plan->keep = numbers_property(call, "keep");
  plan->ignore = numbers_property(call, "ignore");
  read_more_ids(call, plan);
  text_property(call, "hostname", plan->hostname, sizeof(plan->hostname));
  plan->files[HELD_RESOLV_CONF] = file_property(call, "resolvConf");
  plan->files[HELD_HOSTS] = file_property(call, "hosts");
  plan->files[HELD_HOSTNAME] = file_property(call, "hostnameFile");
}

void spawn_options_free(struct held_plan *plan) {
  free((char *)plan->file);
  for (int i = 0; i < HELD_FILE_COUNT; i++) free((char *)plan->files[i]);
  free_strings(plan->argv);
  free_strings(plan->env);
  free_strings(plan->hidden);
  free_strings(plan->newuidmap);
  free_strings(plan->newgidmap);
  free((char *)plan->joined_netns);
  free((char *)plan->directory);
  free(plan->keep);
  free(plan->ignore);
}
