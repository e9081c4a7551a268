/*
 * The state of the addon in one JavaScript thread. Nothing is global: a worker thread that loads the
 * addon gets an instance of its own, whose handles and memories mean nothing to the others.
 */
#ifndef TUNTAP2_INSTANCE_H
#define TUNTAP2_INSTANCE_H

#include <stdbool.h>

#include <node_api.h>

#include "../agent/agents.h"
#include "failure.h"
#include "handles.h"
#include "../loop/limit.h"
#include "memory.h"
#include "scratch.h"

struct loop;

struct instance {
  napi_env env;
  int epoll;
  struct loop *loop; /* NULL unless it runs */
  struct memories memories;
  struct handles handles;
  struct agents agents;
  struct failure failure;
  struct scratch scratch;
  struct limit limit;   /* of a turn of the loop */
  int broker;           /* -1: there is none; the keeper when it has become that */
  bool broker_keeps;    /* it has become the keeper, and starts nothing any more */
  bool keeper_owes;     /* an answer that did not come in time */
};

/* The functions of one source file, as JavaScript sees them; the last has no name. */
struct method {
  const char *name;
  napi_callback callback;
};

extern const struct method memory_methods[];
extern const struct method handle_methods[];
extern const struct method failure_methods[];
extern const struct method namespace_methods[];
extern const struct method spawn_methods[];
extern const struct method child_methods[];
extern const struct method loop_methods[];
extern const struct method watch_methods[];
extern const struct method syscall_methods[];
extern const struct method message_methods[];
extern const struct method pipe_methods[];
extern const struct method broker_methods[];
extern const struct method sandbox_methods[];
extern const struct method passing_methods[];
extern const struct method terminal_methods[];

#endif
