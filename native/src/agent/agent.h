/*
 * The agent: a forked process inside somebody's namespaces. This header is the protocol between it
 * (agent.c) and its parent (bindings/agents.c, the launcher): one request, one reply, over SOCK_SEQPACKET. A reply may
 * carry a descriptor by SCM_RIGHTS. The end of the socket is the end of the agent.
 */
#ifndef TUNTAP2_AGENT_H
#define TUNTAP2_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../os/process.h"
#include "../os/step.h"

enum { AGENT_PAYLOAD_MAX = 4096 }; /* netlink messages of links, addresses, routes have 200 bytes */

enum agent_operation {
  AGENT_OPEN_TAP, /* payload: the name; numbers[0]: with vnet header */
  AGENT_IFINDEX,  /* payload: the name */
  AGENT_NETLINK,  /* payload: the message */
  AGENT_SOCKET,   /* numbers: domain, type, protocol; payload: what to bind it to, or nothing */
};

struct agent_request {
  uint32_t operation;
  int32_t numbers[3];
  uint32_t length; /* of the payload; the rest of it is not sent */
  uint8_t payload[AGENT_PAYLOAD_MAX];
};

struct agent_reply {
  int32_t result; /* value or negative errno */
  uint32_t step;  /* enum step, when negative */
};

/* An agent, as its parent holds it. */
struct agent {
  pid_t pid; /* 0: there is none; BROKER_REAPS (broker/protocol.h): a child of the broker; -1: of somebody else */
  int socket;
  bool lost; /* it did not answer in time; it gets no more requests */
};

/*
 * Opens the namespaces of two paths (targets_open) and forks an agent into them. Its first reply is still to be
 * received. Returns 0, or a negative errno with the step.
 */
int agent_start(const char *userns, const char *netns, process_forker *forker, struct agent *agent,
                enum step *step);

/*
 * In a forked child: closes every other descriptor, enters the namespaces (`userns` -1: stays in ours), replies
 * with the result, and serves until the socket ends.
 */
_Noreturn void agent_run(int socket, int userns, int netns);

#endif
