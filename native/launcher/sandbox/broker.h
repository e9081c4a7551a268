/* The broker's side of src/broker/protocol.h, in the launcher. */
#ifndef SLIPWAY_BROKER_SERVER_H
#define SLIPWAY_BROKER_SERVER_H

/*
 * Forks the broker off; it has all of the caller's descriptors until it becomes the keeper. Returns
 * the socket to it, or -1 with errno. There it writes over `argv`: whoever looks for slirp4netns by
 * name is to find one process.
 */
int broker_start(char **argv);

#endif
