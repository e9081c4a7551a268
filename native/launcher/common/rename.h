/* The name of this process, as ps(1) and pgrep(1) show it. */
#ifndef SLIPWAY_RENAME_H
#define SLIPWAY_RENAME_H

/*
 * Renames this process and overwrites `argv`: who looks for slirp4netns by name should find only the process that
 * was started as that.
 */
void rename_process(char **argv, const char *name);

#endif
