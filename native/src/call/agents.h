/* The agents that an instance has open. */
#ifndef TUNTAP2_AGENTS_H
#define TUNTAP2_AGENTS_H

#include "../agent/agent.h"

enum { AGENT_MAX = 512 }; /* as many as a loop has guests */

struct agents {
  struct agent table[AGENT_MAX];
};

void agents_close_all(struct agents *agents);

#endif
