/* The namespaces that an agent is to enter, as descriptors. */
#ifndef TUNTAP2_TARGETS_H
#define TUNTAP2_TARGETS_H

#include "../os/step.h"

struct targets {
  int userns; /* -1: our own, which is not entered */
  int netns;
};

/*
 * Opens the namespaces of two paths; `userns` empty: the owner of `netns`. Returns 0, or a negative
 * errno with the step; nothing stays open then.
 */
int targets_open(const char *userns, const char *netns, struct targets *targets, enum step *step);

void targets_close(const struct targets *targets);

/*
 * Enters both, in a process of one thread; nobody inside can read its memory. Returns the step that failed, with
 * errno.
 */
enum step targets_enter(const struct targets *targets);

/* Which of the two paths a step was about. */
const char *targets_subject(enum step step, const char *userns, const char *netns);

#endif
