/* The broker's side of src/broker/protocol.h, in the launcher. */
#ifndef SLIPWAY_BROKER_SERVER_H
#define SLIPWAY_BROKER_SERVER_H

/*
 * Forks the broker, which has all of the caller's descriptors until it becomes the keeper. Returns the socket to
 * it, or -1 with errno. The broker renames itself (common/rename.h).
 */
int broker_start(char **argv);

/*
 * For a process that goes on in the background, in a PID namespace of its own: forks it (namespaces_fork) and becomes the
 * broker, as nobody else could be the parent of what is started outside of that namespace. Returns in the child only, as
 * broker_start(). `parent` is the socket to the caller's process, which the broker closes; if the child ends before the
 * broker is a keeper, the broker ends with its exit status.
 */
int broker_become(char **argv, int parent, const char **word);

#endif
