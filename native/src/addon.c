/* The addon's entry: an instance for each JavaScript thread, and its functions. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <node_api.h>

#include "call/instance.h"
#include "call/methods.h"
#include "confine/confine.h"

static const struct method *const all_methods[] = {
    aead_methods, agent_methods, broker_methods, byte_methods, descriptor_methods,
    last_error_methods, loop_methods, memory_methods, message_methods, passing_methods,
    pipe_methods, process_methods, sandbox_methods, socket_methods, spawn_methods,
    terminal_methods, watch_methods,
};

/* References to memories are freed with the environment. */
static void destroy_instance(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct instance *instance = data;
  aead_keys_forget_all(&instance->keys);
  agents_close_all(&instance->agents);
  handles_close_all(&instance->handles);
  handles_free(&instance->handles);
  if (instance->broker.socket >= 0) close(instance->broker.socket);
  if (instance->epoll >= 0) close(instance->epoll);
  free(instance);
}

static struct instance *create_instance(napi_env env) {
  struct instance *instance = calloc(1, sizeof(*instance));
  if (instance == NULL) return NULL;
  instance->env = env;
  instance->broker.socket = -1;
  instance->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (instance->epoll >= 0 &&
      napi_set_instance_data(env, instance, destroy_instance, NULL) == napi_ok) {
    return instance;
  }
  destroy_instance(env, instance, NULL);
  return NULL;
}

static bool define(struct instance *instance, napi_value exports, const struct method *method) {
  napi_value function = NULL;
  return napi_create_function(instance->env, method->name, NAPI_AUTO_LENGTH, method->callback,
                              instance, &function) == napi_ok &&
         napi_set_named_property(instance->env, exports, method->name, function) == napi_ok;
}

static bool define_all(struct instance *instance, napi_value exports) {
  for (size_t i = 0; i < sizeof(all_methods) / sizeof(all_methods[0]); i++) {
    for (const struct method *method = all_methods[i]; method->name != NULL; method++) {
      if (!define(instance, exports, method)) return false;
    }
  }
  return true;
}

NAPI_MODULE_INIT() {
  confine_memory(); /* early: a guest may see our pid before its first frame is read */
  struct instance *instance = create_instance(env);
  if (instance == NULL || !define_all(instance, exports)) {
    napi_throw_error(env, NULL, "node-tuntap2: out of memory or descriptors");
    return NULL;
  }
  return exports;
}
