/* The addon's side of protocol.h: what a process asks its broker, and later its keeper, to do. */
#ifndef TUNTAP2_BROKER_CLIENT_H
#define TUNTAP2_BROKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../agent/agent.h"
#include "../held/held.h"
#include "../os/step.h"

struct broker {
  int socket;    /* -1: there is none; to the keeper once the broker has become that */
  bool is_keeper; /* it starts nothing any more */
  bool owes;     /* the keeper: an answer that did not come in time */
};

/* All return a negative errno on failure. */

/* Starts an agent. Its first reply is still to come, as of agent_start(). */
int broker_start_agent(const struct broker *broker, const char *userns, const char *netns,
                       struct agent *agent, enum step *step);

/* Forks a held child, and gives its pid and the socket to it. */
int broker_spawn(const struct broker *broker, const struct held_plan *plan, pid_t *pid,
                 int *control);

/* Whether two paths are one file, 0 or 1, as the broker sees them, or as we do without one. */
int broker_is_same(const struct broker *broker, const char *one, const char *other);

/* Makes it the keeper. Both paths are shorter than BROKER_PATH_CAPACITY; no `api_socket`: "". */
int broker_become_keeper(struct broker *broker, const char *resolv_conf, const char *api_socket);

/* Waits until it is confined. */
int broker_confirm_keeper(const struct broker *broker);

/* The length of the text of resolv.conf; -EAGAIN when it has not changed, or the answer is late. */
int broker_keeper_text(struct broker *broker, void *text, size_t capacity);

/* Waits until it has done what is to be done at the end, and is gone, for a second at most. */
void broker_end(struct broker *broker);

#endif
