/* Where the TAP goes, before the daemon has read the command line. */
#ifndef SLIPWAY_GUESS_H
#define SLIPWAY_GUESS_H

#include <stdbool.h>

#include "target.h"

/*
 * Callers of slirp4netns end the command line with a process or a path, and the TAP's name. We open that TAP while
 * the daemon parses the command line. False: `argv`, called as `name`, has another form.
 */
bool guess_target(struct target *guessed, const char *name, char **argv);

bool guess_was_right(const struct target *guessed, const struct target *target);

#endif
