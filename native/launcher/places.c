#include "places.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNMAPPED = 65534, MOST_LINKS = 40 /* MAXSYMLINKS of linux/namei.h */ };

/* Who we are outside of our user namespace: engines start us as root of theirs. */
struct outside {
  uid_t uid;
  bool is_all; /* there is no outside: each user has his number here */
};

static struct outside look_outside(void) {
  uid_t own = geteuid();
  struct outside result = {.uid = own};
  FILE *map = fopen("/proc/self/uid_map", "re");
  if (map == NULL) return (struct outside){own, true};
  for (unsigned inside, outside, count; fscanf(map, "%u %u %u", &inside, &outside, &count) == 3;) {
    if (own - inside < count) result.uid = outside + (own - inside);
    if (inside == 0 && outside == 0 && count == UINT32_MAX) result.is_all = true;
  }
  fclose(map);
  return result;
}

/* As Node's os.tmpdir() has it. */
static const char *temporary_directory(void) {
  static const char *const variables[] = {"TMPDIR", "TMP", "TEMP"};
  for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
    const char *value = getenv(variables[i]);
    if (value != NULL && value[0] != '\0') return value;
  }
  return "/tmp";
}

/* The folder of the user's sockets, and whether it is that of Slipway alone. False: it is too long. */
static bool find_runtime(const struct outside *outside, char *path, size_t capacity,
                         bool *is_own) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  struct stat status;
  int length;
  *is_own = false;
  if (runtime != NULL && runtime[0] == '/') {
    length = snprintf(path, capacity, "%s", runtime);
  } else {
    length = snprintf(path, capacity, "/run/user/%u", outside->uid);
    if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode)) {
      *is_own = true;
      length = snprintf(path, capacity, "%s/slipway-%u", temporary_directory(), outside->uid);
    }
  }
  return length > 0 && (size_t)length < capacity;
}

/* ---- whether only this user and root can change what a path leads to: as src/protocol/safe-directory.ts ---- */

static bool is_trusted(const struct outside *outside, uid_t owner) {
  return owner == 0 || owner == geteuid() || (owner == UNMAPPED && !outside->is_all);
}

static bool is_safe_part(const struct outside *outside, const struct stat *status) {
  if (!is_trusted(outside, status->st_uid)) return false;
  if (!S_ISDIR(status->st_mode) || (status->st_mode & S_ISVTX) != 0) return true;
  if ((status->st_mode & S_IWOTH) != 0) return false;
  bool is_private = status->st_gid == 0 ||
                    (status->st_gid == getegid() && status->st_gid == geteuid());
  return (status->st_mode & S_IWGRP) == 0 || is_private;
}

/* Puts where a link leads in the place of it: `path` up to `end`. */
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

/* What is missing is nobody's. Components "." and ".." are what they are to lstat. */
static bool is_safe(const struct outside *outside, const char *directory) {
  char path[PATH_MAX];
  struct stat status;
  int links = 0;
  if (directory[0] != '/' || strlen(directory) >= sizeof(path)) return false;
  strcpy(path, directory);
  if (lstat("/", &status) < 0 || !is_safe_part(outside, &status)) return false;
  for (size_t start = 1; path[start] != '\0';) {
    size_t end = start + strcspn(path + start, "/");
    char after = path[end];
    path[end] = '\0';
    int result = lstat(path, &status);
    path[end] = after;
    if (result < 0) return true;
    if (!is_safe_part(outside, &status)) return false;
    if (S_ISLNK(status.st_mode)) {
      if (++links > MOST_LINKS || !follow(path, start, end)) return false;
      start = 1;
    } else {
      start = end + strspn(path + end, "/");
    }
  }
  return true;
}

bool places_launchers(struct sockaddr_un *address) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = look_outside();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  char directory[PATH_MAX];
  size_t capacity = sizeof(address->sun_path);
  int length = snprintf(directory, sizeof(directory), "%s%s/daemon", runtime,
                        is_own ? "" : "/slipway");
  if (length < 0 || (size_t)length >= sizeof(directory) || !is_safe(&outside, directory)) return false;
  length = snprintf(address->sun_path, capacity, "%s/launchers.sock", directory);
  return length > 0 && (size_t)length < capacity;
}

bool places_stayed(char *path, size_t capacity) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = look_outside();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  if (!is_safe(&outside, runtime)) return false;
  int length = snprintf(path, capacity, "%s/slipway.stayed", runtime);
  return length > 0 && (size_t)length < capacity;
}
