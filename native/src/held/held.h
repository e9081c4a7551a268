/*
 * A child that is held before exec. Its protocol with its parent (bindings/spawn.c), over SOCK_SEQPACKET: the
 * child sends a report when its namespaces are ready or why they are not; the parent sends one byte to release it,
 * or closes the socket to end it; if exec fails the child sends another report. A successful exec closes the
 * socket.
 *
 * With a PID namespace of its own, the child forks the process that goes on as a child of the same parent, names
 * it in the report, and ends.
 */
#ifndef TUNTAP2_HELD_H
#define TUNTAP2_HELD_H

#include <stdint.h>

#include "../os/step.h"
#include "plan.h"

enum { HELD_EXIT_STATUS = 127 };

struct held_report {
  int32_t error; /* negative errno, or 0 */
  uint32_t step; /* enum step */
  /* Pids of further children of the same parent; 0: there is none. */
  int32_t command;      /* continues instead of this one, which ends */
  int32_t reaper;       /* of the PID namespace; has ended if there was an error */
  int32_t reaper_error; /* why there is no PID namespace (negative errno), or 0 */
  int32_t sweeper;      /* instead of a reaper */
};

/* In a forked child, which has nothing open but `socket` and what `plan` names. */
_Noreturn void held_run(const struct held_plan *plan, int socket);

/*
 * Executes the plan's command in place of this process, in the namespaces that it is in. Returns a negative errno; by
 * then signals have their defaults.
 */
int held_replace(const struct held_plan *plan);

#endif
