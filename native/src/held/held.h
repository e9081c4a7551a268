/*
 * A child that is held before exec. Its protocol with the addon (spawn.c), over SOCK_SEQPACKET:
 * the child sends one report when its namespaces are ready, or why not; the addon sends one byte to
 * release it, or ends the socket; the child sends a report again if exec fails. exec that succeeds
 * closes the socket.
 *
 * With a PID namespace of its own the child leaves the rest to another child of the same parent, which its
 * report names, and ends.
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
  int32_t command;      /* goes on in the place of this one, which ends */
  int32_t reaper;       /* of the PID namespace; has ended if there was an error */
  int32_t reaper_error; /* why there is no PID namespace (negative errno), or 0 */
};

/* For a forked child that has nothing open which `plan` does not name, but for `socket`. */
_Noreturn void held_run(const struct held_plan *plan, int socket);

#endif
