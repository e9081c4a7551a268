/* The registered memories as JavaScript sees them, and the C library's heap. */
#include <malloc.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

static napi_value register_memory(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  void *base = NULL;
  size_t size = 0;
  if (napi_get_arraybuffer_info(env, call.arguments[0], &base, &size) != napi_ok) {
    call_wrong_type(&call, "an ArrayBuffer");
    return call_end(&call, 0);
  }
  return call_end(
      &call, memories_add(&call.instance->memories, env, call.arguments[0], base, size));
}

static napi_value unregister_memory(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct memory *memory = call_memory(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  napi_delete_reference(env, memory->reference);
  *memory = (struct memory){0};
  return call_end(&call, 0);
}

/* malloc_trim(3): glibc keeps what was freed in the middle of its heap until it is told. */
static napi_value trim_memory(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  return call_end(&call, malloc_trim(0));
}

const struct method memory_methods[] = {
    {"registerMemory", register_memory},
    {"unregisterMemory", unregister_memory},
    {"trimMemory", trim_memory},
    {NULL, NULL},
};
