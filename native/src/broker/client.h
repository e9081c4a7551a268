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
  int socket;    /* -1: none; the keeper's once the broker has become that */
  bool is_keeper; /* it starts nothing any more */
  bool owes;     /* the keeper owes an answer that did not come in time */
};

/* All return a negative errno on failure. */

/* Starts an agent, as agent_start(). */
int broker_start_agent(const struct broker *broker, const char *userns, const char *netns,
                       struct agent *agent, enum step *step);

/* Forks a held child, and gives its pid and the socket to it. */
int broker_spawn(const struct broker *broker, const struct held_plan *plan, pid_t *pid,
                 int *control);

/* A pidfd of a process by its number in the broker's PID namespace, or in ours without a broker or with a keeper. */
int broker_open_process(const struct broker *broker, pid_t pid);

/* A directory by O_PATH, as the broker finds it, or as we do without a broker. */
int broker_open_directory(const struct broker *broker, const char *path);

/* A pid file, made or open with what it has. */
int broker_open_pid_file(const struct broker *broker, const char *path);

/* Whether two paths are one file as the broker sees them, or as we do without a broker: 0 or 1. */
int broker_is_same(const struct broker *broker, const char *one, const char *other);

/* Makes it the keeper. Both paths are shorter than BROKER_PATH_CAPACITY; no `api_socket`: "". */
int broker_become_keeper(struct broker *broker, const char *resolv_conf, const char *api_socket);

/* Waits until the keeper is confined. */
int broker_confirm_keeper(const struct broker *broker);

/* Returns the length of resolv.conf's text; -EAGAIN when it has not changed, or the answer is late. */
int broker_keeper_text(struct broker *broker, void *text, size_t capacity);

/* Ends broker or keeper; waits for it, 1 s at most. */
void broker_end(struct broker *broker);

#endif
