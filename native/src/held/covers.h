/* What a held child (held.h) sees instead of the host's files: mounts in its own mount namespace. */
#ifndef TUNTAP2_COVERS_H
#define TUNTAP2_COVERS_H

#include "plan.h"

/* Covers files of /etc by those of the plan. -1 with errno. */
int covers_place_files(const struct held_plan *plan);

/*
 * Covers each directory of a NULL-terminated list by an empty read-only one, and each other file, such as a
 * socket, by /dev/null, which refuses connect(2). Missing paths are skipped. -1 with errno.
 */
int covers_hide(char *const *paths);

#endif
