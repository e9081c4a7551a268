/* Whether others can change what a path leads to. */
#ifndef SLIPWAY_SAFE_DIRECTORY_H
#define SLIPWAY_SAFE_DIRECTORY_H

#include <stdbool.h>

/*
 * Whether only this user and root can change what is found by the path of a directory: each component belongs to one
 * of them, links too, and only they can write in it, unless it is sticky. What is missing counts as safe.
 * `is_initial`: this is the initial user namespace, in which every owner has a number.
 *
 * src/rpc/safe-directory.ts is the same rule for the daemon; native/test/paths.test.ts runs both on one table.
 */
bool safe_directory(const char *directory, bool is_initial);

#endif
