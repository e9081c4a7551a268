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
  pid_t pid;  /* our parent reaps it, also after an error; 0: none */
  int socket; /* -1: there is no reaper. Closing it before reaper_confirm() ends the reaper */
  int error;  /* why there is no reaper (negative errno), with the caller's namespaces unchanged; or 0 */
};

/*
 * Starts the reaper. Afterwards the caller is in its user namespace, /proc shows its PID namespace, and the
 * caller's children will be in that. Returns STEP_NONE also when there is no reaper; after any other step, with
 * errno, the caller cannot continue. Async-signal-safe.
 */
enum step reaper_start(const struct held_plan *plan, struct reaper *reaper);

/* Ties the reaper to our parent's life. Call it when the parent is known to live. */
void reaper_confirm(const struct reaper *reaper);

#endif
