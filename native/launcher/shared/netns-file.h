/* The file by which a network namespace was named: its end is the network's. */
#ifndef SLIPWAY_NETNS_FILE_H
#define SLIPWAY_NETNS_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

struct netns_file {
  int watch; /* an inotify descriptor, readable when something in its folder has changed; -1: there is none */
  const char *path;
  struct stat file;
};

/* False: it is not there, or cannot be watched. */
bool netns_file_watch(struct netns_file *file, const char *path);

/* Empties the descriptor. Whether the file is another by now, or gone. */
bool netns_file_is_gone(const struct netns_file *file);

#endif
