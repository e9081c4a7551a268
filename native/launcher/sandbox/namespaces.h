/* What the sandbox needs of namespaces and capabilities before Node has threads. */
#ifndef SLIPWAY_NAMESPACES_H
#define SLIPWAY_NAMESPACES_H

/*
 * Gives this process mounts of its own, whose root the addon empties later (src/sandbox/sandbox.c): as root
 * by that right, as somebody else in a user namespace of its own, where it is nobody but itself. Of
 * capabilities Node gets what it needs until then, and no program that it ran could get others.
 *
 * Returns "own", or in a word and an errno why there are none; "userns 28" is one. It does not return
 * when it is halfway: the ids of a user namespace could not be set.
 */
const char *namespaces_prepare(void);

#endif
