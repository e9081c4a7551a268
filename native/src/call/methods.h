/* The addon's functions: one table in each source file that has any. */
#ifndef TUNTAP2_METHODS_H
#define TUNTAP2_METHODS_H

#include <node_api.h>

/* A function as JavaScript sees it. The last entry of a table has no name. */
struct method {
  const char *name;
  napi_callback callback;
};

extern const struct method aead_methods[];
extern const struct method agent_methods[];
extern const struct method broker_methods[];
extern const struct method byte_methods[];
extern const struct method descriptor_methods[];
extern const struct method last_error_methods[];
extern const struct method loop_methods[];
extern const struct method memory_methods[];
extern const struct method message_methods[];
extern const struct method passing_methods[];
extern const struct method pipe_methods[];
extern const struct method process_methods[];
extern const struct method sandbox_methods[];
extern const struct method socket_methods[];
extern const struct method spawn_methods[];
extern const struct method terminal_methods[];
extern const struct method watch_methods[];

#endif
