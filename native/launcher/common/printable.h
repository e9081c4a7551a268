/* Text from the daemon or from pasta, on its way to the user's terminal. */
#ifndef SLIPWAY_PRINTABLE_H
#define SLIPWAY_PRINTABLE_H

#include <stddef.h>

/*
 * Replaces by '?' whatever a terminal could take for a command: control characters except tab and newline,
 * including those of 0x80 to 0x9f (ECMA-48, 5.3), and bytes that are not UTF-8.
 */
void printable_make(char *text, size_t length);

#endif
