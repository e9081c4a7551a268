/* The root directory of this process. */
#ifndef TUNTAP2_ROOT_H
#define TUNTAP2_ROOT_H

/*
 * Gives all threads an empty root directory, for good. Needs CAP_SYS_ADMIN and our own mount namespace. Returns 0
 * or a negative errno.
 */
int root_empty(void);

#endif
