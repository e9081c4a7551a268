/* Namespaces and capabilities that the sandbox needs before Node has threads. */
#ifndef SLIPWAY_NAMESPACES_H
#define SLIPWAY_NAMESPACES_H

#include <sys/types.h>

/*
 * Gives this process a mount namespace, whose root the addon empties later (src/sandbox/root.c). Root makes it by
 * its own right, another user in a new user namespace, where only his own id is mapped. Node gets the capabilities
 * that it needs until then; no program that it executes could gain others.
 *
 * Returns "own", or why there is none, as a word and an errno, such as "userns 28". Ends the process when ids
 * cannot be mapped in a user namespace that is made already.
 */
const char *namespaces_prepare(void);

/*
 * The same for a child that is forked into PID, IPC and UTS namespaces of its own, too. Returns its number, and in the child
 * 0 and that word; or -1 with errno. Where it may not have the namespaces, the child stays in ours.
 */
pid_t namespaces_fork(const char **word);

#endif
