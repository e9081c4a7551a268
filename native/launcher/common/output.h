/* What a command prints. */
#ifndef SLIPWAY_OUTPUT_H
#define SLIPWAY_OUTPUT_H

#include <stddef.h>

/* Writes all of a text to stdout, and waits for a slow reader. Ends the process with a line on stderr when it cannot. */
void output_write(const char *text, size_t length);

#endif
