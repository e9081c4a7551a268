#include "safe-directory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Owners that have no number in our user namespace have this one: overflowuid of proc(5). */
enum { UNMAPPED = 65534, MOST_LINKS = 40 /* MAXSYMLINKS of linux/namei.h */ };

static bool is_trusted(bool is_initial, uid_t owner) {
  return owner == 0 || owner == geteuid() || (owner == UNMAPPED && !is_initial);
}

static bool is_safe_part(bool is_initial, const struct stat *status) {
  if (!is_trusted(is_initial, status->st_uid)) return false;
  if (!S_ISDIR(status->st_mode) || (status->st_mode & S_ISVTX) != 0) return true;
  if ((status->st_mode & S_IWOTH) != 0) return false;
  bool is_private = status->st_gid == 0 ||
                    (status->st_gid == getegid() && status->st_gid == geteuid());
  return (status->st_mode & S_IWGRP) == 0 || is_private;
}

/* Replaces a link, `path` up to `end`, by what it leads to. */
static bool follow(char path[PATH_MAX], size_t start, size_t end) {
  char target[PATH_MAX];
  char whole[2 * PATH_MAX];
  char rest[PATH_MAX];
  strcpy(rest, path + end);
  path[end] = '\0';
  ssize_t length = readlink(path, target, sizeof(target) - 1);
  if (length <= 0) return false;
  target[length] = '\0';
  path[start] = '\0';
  int size = snprintf(whole, sizeof(whole), "%s%s%s", target[0] == '/' ? "" : path, target, rest);
  if (size < 0 || size >= PATH_MAX) return false;
  strcpy(path, whole);
  return true;
}

/* "." and ".." mean what they mean to lstat(2). */
bool safe_directory(const char *directory, bool is_initial) {
  char path[PATH_MAX];
  struct stat status;
  int links = 0;
  if (directory[0] != '/' || strlen(directory) >= sizeof(path)) return false;
  strcpy(path, directory);
  if (lstat("/", &status) < 0 || !is_safe_part(is_initial, &status)) return false;
  for (size_t start = 1; path[start] != '\0';) {
    size_t end = start + strcspn(path + start, "/");
    char after = path[end];
    path[end] = '\0';
    int result = lstat(path, &status);
    path[end] = after;
    if (result < 0) return true;
    if (!is_safe_part(is_initial, &status)) return false;
    if (S_ISLNK(status.st_mode)) {
      if (++links > MOST_LINKS || !follow(path, start, end)) return false;
      start = 1;
    } else {
      start = end + strspn(path + end, "/");
    }
  }
  return true;
}
