/*
 * The first process of a held child's PID namespace, which reaps what loses its parent there, and does
 * nothing else. It is a child of our parent and makes, all at once, the user namespace that the child
 * will be in, so that all of the child's namespaces have one owner and can be entered together
 * (nsenter --all). When it ends the kernel kills all that is in the namespace (pid_namespaces(7)).
 *
 * Its /proc becomes a mount of the caller's mount namespace, which has another owner: the child, whose
 * mounts are a copy of the caller's, can't take it off to see the host's below (mount_namespaces(7),
 * "Restrictions on mount namespaces").
 */
#ifndef TUNTAP2_REAPER_H
#define TUNTAP2_REAPER_H

#include <sys/types.h>

#include "../os/step.h"
#include "plan.h"

struct reaper {
  pid_t pid;  /* to be reaped by our parent, also if there was an error; 0: there is none */
  int socket; /* to it; -1: it is not there. Its end before reaper_confirm() ends the reaper */
  int error;  /* why it is not there (negative errno): the caller's namespaces are as they were; or 0 */
};

/*
 * Starts it. If it is there then, the caller is in its user namespace, /proc is that of its PID namespace,
 * and the caller's children will be in that. Async-signal-safe. Returns STEP_NONE also when it is not
 * there; with another step, and errno, the caller can't go on.
 */
enum step reaper_start(const struct held_plan *plan, struct reaper *reaper);

/* To be called once our parent is known to live, with which it ends from then on. */
void reaper_confirm(const struct reaper *reaper);

#endif
