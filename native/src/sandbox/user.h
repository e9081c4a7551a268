/* Another user for this process. */
#ifndef TUNTAP2_USER_H
#define TUNTAP2_USER_H

#include <sys/types.h>

/*
 * Gives all threads another user and group, and no further groups. The calling thread keeps its capabilities until the
 * lock-down, and the signal that its parent's death sends. Returns 0 or a negative errno: EPERM without CAP_SETUID and
 * CAP_SETGID.
 */
int user_become(uid_t uid, gid_t gid);

#endif
