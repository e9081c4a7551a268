/* The broker's side of src/broker/protocol.h, in the launcher. */
#ifndef SLIPWAY_BROKER_SERVER_H
#define SLIPWAY_BROKER_SERVER_H

/*
 * Forks the broker, which has all of the caller's descriptors until it becomes the keeper. Returns the socket to
 * it, or -1 with errno. The broker renames itself (common/rename.h).
 */
int broker_start(char **argv);

#endif
