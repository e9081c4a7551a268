/*
 * The state of the addon in one JavaScript thread. Nothing is global: a worker thread that loads the
 * addon gets an instance of its own, whose handles and memories mean nothing to the others.
 */
#ifndef TUNTAP2_INSTANCE_H
#define TUNTAP2_INSTANCE_H

#include <stdbool.h>

#include <node_api.h>

#include "../broker/client.h"
#include "../crypto/aead.h"
#include "agents.h"
#include "failure.h"
#include "handles.h"
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
  struct aead_keys keys;
  struct failure failure;
  struct scratch scratch;
  struct broker broker;
};

#endif
