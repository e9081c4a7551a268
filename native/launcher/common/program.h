/* Which program was called: slipway and two others have one file, and command lines of their own. */
#ifndef SLIPWAY_PROGRAM_H
#define SLIPWAY_PROGRAM_H

#include <stdbool.h>

/* "slirp4netns" or "slipway-cni" by a file or link of that name; "slipway" by any other. */
const char *program_name(char **argv);

bool program_is(char **argv, const char *name);

#endif
