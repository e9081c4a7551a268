/* The agents that an instance has open. */
#ifndef TUNTAP2_AGENTS_H
#define TUNTAP2_AGENTS_H

#include <stdbool.h>
#include <sys/types.h>

enum { AGENT_MAX = 64 };

struct agent {
  pid_t pid; /* 0 in a free place */
  int socket;
  bool lost; /* it was stopped, and is asked nothing more */
};

struct agents {
  struct agent table[AGENT_MAX];
};

void agents_close_all(struct agents *agents);

#endif
