/* The name of this process, as ps(1) and pgrep(1) show it. */
#ifndef SLIPWAY_RENAME_H
#define SLIPWAY_RENAME_H

/*
 * Gives this process a name of its own and writes over `argv`: whoever looks for slirp4netns by name is to find the
 * one process that was started as that.
 */
void rename_process(char **argv, const char *name);

#endif
