/* Broker and keeper as JavaScript sees them. */
#include "../broker/client.h"

#include <errno.h>
#include <fcntl.h>

#include "../broker/protocol.h"
#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

static napi_value use_broker(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_number(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (call.instance->broker.socket >= 0) return call_end(&call, -EEXIST);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return call_end(&call, -errno);
  call.instance->broker.socket = fd;
  return call_end(&call, 0);
}

static napi_value open_by(napi_env env, napi_callback_info info,
                          int (*open_path)(const struct broker *broker, const char *path)) {
  struct call call = call_begin(env, info, 1);
  char path[BROKER_PATH_CAPACITY];
  call_string(&call, 0, path, sizeof(path));
  if (!call_ok(&call)) return call_end(&call, 0);
  int fd = open_path(&call.instance->broker, path);
  if (fd < 0) return call_end(&call, fd);
  return call_end(&call, handles_issue(&call.instance->handles, fd, HANDLE_PLAIN));
}

static napi_value open_pid_file(napi_env env, napi_callback_info info) {
  return open_by(env, info, broker_open_pid_file);
}

static napi_value open_directory(napi_env env, napi_callback_info info) {
  return open_by(env, info, broker_open_directory);
}

static napi_value same_namespace(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  char one[BROKER_PATH_CAPACITY];
  char other[BROKER_PATH_CAPACITY];
  call_string(&call, 0, one, sizeof(one));
  call_string(&call, 1, other, sizeof(other));
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, broker_is_same(&call.instance->broker, one, other));
}

static napi_value become_keeper(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  char resolv_conf[BROKER_PATH_CAPACITY];
  char api_socket[BROKER_PATH_CAPACITY] = "";
  call_string(&call, 0, resolv_conf, sizeof(resolv_conf));
  if (!call_is_null(&call, 1)) call_string(&call, 1, api_socket, sizeof(api_socket));
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, broker_become_keeper(&call.instance->broker, resolv_conf, api_socket));
}

static napi_value confirm_keeper(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  if (call.instance->broker.socket < 0) return call_end(&call, -EBADF);
  int result = broker_confirm_keeper(&call.instance->broker);
  if (result < 0) failure_set(&call.instance->failure, STEP_KEEPER, "", result);
  return call_end(&call, result);
}

static napi_value keeper_text(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct range text = call_bytes(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct broker *broker = &call.instance->broker;
  return call_end(&call, broker->socket < 0
                             ? -EBADF
                             : broker_keeper_text(broker, text.base, text.length));
}

static napi_value end_broker(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  if (call.instance->broker.socket < 0) return call_end(&call, -EBADF);
  broker_end(&call.instance->broker);
  return call_end(&call, 0);
}

const struct method broker_methods[] = {
    {"useBroker", use_broker},
    {"openDirectory", open_directory},
    {"openPidFile", open_pid_file},
    {"sameNamespace", same_namespace},
    {"becomeKeeper", become_keeper},
    {"confirmKeeper", confirm_keeper},
    {"keeperText", keeper_text},
    {"endBroker", end_broker},
    {NULL, NULL},
};
