/* The root directory of this process. */
#ifndef TUNTAP2_ROOT_H
#define TUNTAP2_ROOT_H

/*
 * Gives all threads a root in which there is nothing, for good. Needs CAP_SYS_ADMIN and a mount namespace of
 * our own. Returns 0 or a negative errno.
 */
int root_empty(void);

#endif
