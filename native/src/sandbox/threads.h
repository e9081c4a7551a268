/* Confines all threads of this process. */
#ifndef TUNTAP2_THREADS_H
#define TUNTAP2_THREADS_H

#include <dirent.h>

#include "../confine/confine.h"

/*
 * Leaves every thread the capabilities `kept`, sets no_new_privs and, unless -1, the Landlock ruleset. `tasks` is
 * /proc/self/task. Returns 0 or a negative errno: E2BIG for more than 256 threads, ETIMEDOUT when one does not
 * respond within 2 s.
 */
int threads_confine(DIR *tasks, int ruleset, capabilities kept);

#endif
