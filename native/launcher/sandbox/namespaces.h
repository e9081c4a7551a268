/* Namespaces and capabilities that the sandbox needs before Node has threads. */
#ifndef SLIPWAY_NAMESPACES_H
#define SLIPWAY_NAMESPACES_H

/*
 * Gives this process a mount namespace, whose root the addon empties later (src/sandbox/root.c). Root makes it by
 * its own right, another user in a new user namespace, where only his own id is mapped. Node gets the capabilities
 * that it needs until then; no program that it executes could gain others.
 *
 * Returns "own", or why there is none, as a word and an errno, such as "userns 28". Ends the process when ids
 * cannot be mapped in a user namespace that is made already.
 */
const char *namespaces_prepare(void);

#endif
