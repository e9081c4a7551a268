#include "netns-file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/*
 * A namespace's file is a mount on a file, and nothing reports that it is unmounted; podman and ip-netns(8) remove the file
 * right after that.
 */
bool netns_file_watch(struct netns_file *file, const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  if (slash == NULL || strlen(path) >= sizeof(folder)) return false;
  snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
  file->path = path;
  file->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return file->watch >= 0 && inotify_add_watch(file->watch, folder, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ATTRIB) >= 0 &&
         stat(path, &file->file) == 0;
}

bool netns_file_is_gone(const struct netns_file *file) {
  char events[4096];
  struct stat now;
  while (read(file->watch, events, sizeof(events)) > 0) continue;
  if (stat(file->path, &now) < 0) return true;
  return now.st_dev != file->file.st_dev || now.st_ino != file->file.st_ino;
}
