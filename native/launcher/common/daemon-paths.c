#include "daemon-paths.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outside.h"
#include "safe-directory.h"

/* As Node's os.tmpdir() has it; /tmp instead of a path that is not absolute. */
static const char *temporary_directory(void) {
  static const char *const variables[] = {"TMPDIR", "TMP", "TEMP"};
  for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
    const char *value = getenv(variables[i]);
    if (value != NULL && value[0] != '\0') return value[0] == '/' ? value : "/tmp";
  }
  return "/tmp";
}

/* The directory of the user's sockets, and whether only Slipway uses it. False: the path is too long. */
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

bool daemon_paths_launchers(struct sockaddr_un *address) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = outside_look();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  char directory[PATH_MAX];
  size_t capacity = sizeof(address->sun_path);
  int length = snprintf(directory, sizeof(directory), "%s%s/daemon", runtime,
                        is_own ? "" : "/slipway");
  if (length < 0 || (size_t)length >= sizeof(directory) || !safe_directory(directory, outside.is_all)) return false;
  length = snprintf(address->sun_path, capacity, "%s/launchers.sock", directory);
  return length > 0 && (size_t)length < capacity;
}

bool daemon_paths_stayed(char *path, size_t capacity) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = outside_look();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  if (!safe_directory(runtime, outside.is_all)) return false;
  int length = snprintf(path, capacity, "%s/slipway.stayed", runtime);
  return length > 0 && (size_t)length < capacity;
}
