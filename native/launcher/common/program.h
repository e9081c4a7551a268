/* Which program was called: slipway and others have one file, and command lines of their own. */
#ifndef SLIPWAY_PROGRAM_H
#define SLIPWAY_PROGRAM_H

#include <stdbool.h>

/* By a file or link of one of the other names, that name; by any other "slipway". */
const char *program_name(char **argv);

bool program_is(char **argv, const char *name);

#endif
