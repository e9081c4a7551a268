/* What the daemon has said, on its way to the user's terminal. */
#ifndef SLIPWAY_WORDS_H
#define SLIPWAY_WORDS_H

#include <stddef.h>

/*
 * Puts '?' in the place of all that a terminal could take for an order: control characters but tab and
 * newline, those of 0x80 to 0x9f as well (ECMA-48, 5.3), and what is not UTF-8.
 */
void words_clean(char *text, size_t length);

#endif
