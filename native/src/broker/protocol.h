/*
 * The broker: a process that the launcher forked off before it went into a user namespace of its
 * own, and that stayed in the user's. From there it does what needs the user's rights over other
 * namespaces: it starts agents (agent.h) and held children (held.h). This header is the protocol
 * between it (launcher/sandbox/broker.c) and the addon (client.c): one request, one reply, over
 * SOCK_SEQPACKET. The end of the socket is the end of the broker.
 *
 * What it starts are children of our process, not its own (CLONE_PARENT): they are waited for, and
 * die with us, as if we had forked them. In the background we have a PID namespace of our own, outside of which we can
 * have no children: there we are the broker's child, and so are they (BROKER_REAPS); no held children are started.
 *
 * BROKER_KEEP is the last request: the broker then confines itself and becomes the keeper
 * (launcher/sandbox/keeper.c), whose protocol is: a byte to it, and it answers with a struct keeper_answer
 * and the text of resolv.conf when that has changed. It never looks at what it receives.
 */
#ifndef TUNTAP2_BROKER_PROTOCOL_H
#define TUNTAP2_BROKER_PROTOCOL_H

#include <stdint.h>

#include "../os/step.h"

enum { BROKER_PATH_CAPACITY = 4096, KEEPER_TEXT_MAX = 65536 };

enum broker_operation {
  BROKER_AGENT, /* paths: userns, netns. The reply brings the agent's pid and its socket */
  BROKER_SPAWN, /* with a memfd that holds a plan (plan.h). The reply: pid and control socket */
  BROKER_PROCESS,  /* path: a PID of the broker's namespace. The reply brings a pidfd */
  BROKER_DIRECTORY, /* path. The reply brings it, by O_PATH */
  BROKER_PID_FILE, /* path. The reply brings it, open, with what it has (launcher/common/pid-file.h) */
  BROKER_SAME,  /* whether two paths are one namespace: 0 or 1 */
  BROKER_KEEP,  /* paths: resolv.conf, API socket or "" */
};

/* The pid of a reply about a child of the broker's own. Above every PID of the kernel. */
enum { BROKER_REAPS = INT32_MAX };

struct broker_request {
  uint32_t operation;
  char paths[2][BROKER_PATH_CAPACITY]; /* each ends with a NUL */
};

struct broker_reply {
  int32_t result; /* value or negative errno */
  uint32_t step;  /* enum step, when negative */
};

struct keeper_answer {
  uint32_t changed; /* 1: the text follows, KEEPER_TEXT_MAX bytes of it at most */
};

#endif
