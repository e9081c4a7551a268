/* The descriptors that the caller left open: SLIPWAY_FDS, as slipway.c lists them at the start. Ours have other numbers. */
#ifndef SLIPWAY_INHERITED_H
#define SLIPWAY_INHERITED_H

#include <stdbool.h>

/* Whether the caller gave us the descriptor, whose number may be one of ours by now. Without /proc there is no list. */
bool inherited_has(int fd);

/* Closes all but the standard streams, which the caller left open often without knowing. */
void inherited_close(void);

#endif
