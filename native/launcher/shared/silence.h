/* A daemon that does not answer, such as one that is stopped by SIGSTOP. */
#ifndef SLIPWAY_SILENCE_H
#define SLIPWAY_SILENCE_H

#include <stdbool.h>

#include "connection.h"

/*
 * Waits until a message can be received, or the connection ends. False: the daemon has been found stopped, or has not
 * answered for a minute, which is longer than a request takes on a busy machine. src/client/patience.ts has the same
 * limits.
 */
bool silence_wait(const struct connection *connection);

/* Why the daemon does not answer, and what to do: a part of a sentence. The caller's to free. */
char *silence_reason(const struct connection *connection);

#endif
