/* The options of spawnHeld() (index.d.cts) as a plan of held/held.h. */
#ifndef TUNTAP2_SPAWN_OPTIONS_H
#define TUNTAP2_SPAWN_OPTIONS_H

#include <stddef.h>

#include "../call/call.h"
#include "../held/held.h"

/* Reads argument 0, which must be an object. To be freed also when the call fails. */
void spawn_options_read(struct call *call, struct held_plan *plan);

void spawn_options_free(struct held_plan *plan);

#endif
