/* The ids of a user namespace. */
#ifndef TUNTAP2_IDMAP_H
#define TUNTAP2_IDMAP_H

#include <sys/types.h>

#include "step.h"

/*
 * Maps the ids of the user namespace that this process is in, by lines as in user_namespaces(7).
 * Async-signal-safe. errno tells why a step failed.
 */
enum step idmap_write(const char *uid_map, const char *gid_map);

/*
 * The same for the user namespace of a process. With capabilities in its parent namespace, in which the caller is,
 * there may be many lines, and groups can still be set inside.
 */
enum step idmap_write_of(pid_t pid, const char *uid_map, const char *gid_map);

#endif
