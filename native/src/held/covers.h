/* What a held child (held.h) finds in the place of the host's files: mounts in its own mount namespace. */
#ifndef TUNTAP2_COVERS_H
#define TUNTAP2_COVERS_H

#include "plan.h"

/* Puts the plan's files over those of /etc. -1 with errno. */
int covers_place_files(const struct held_plan *plan);

/*
 * Puts an empty read-only directory over each directory of a list that ends with NULL, and /dev/null over
 * each other file, such as a socket: connect(2) is refused there. What is not there is left out. -1 with
 * errno.
 */
int covers_hide(char *const *paths);

#endif
