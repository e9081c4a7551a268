#include "places.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNMAPPED = 65534, MOST_LINKS = 40 /* MAXSYMLINKS of linux/namei.h */ };

/* Who we are outside of our user namespace: engines start us as root of theirs. */
struct outside {
  uid_t uid;
  bool has_root; /* whether the host's root has a number here */
};

static struct outside look_outside(void) {
  uid_t own = geteuid();
  struct outside result = {.uid = own};
  FILE *map = fopen("/proc/self/uid_map", "re");
  if (map == NULL) return (struct outside){own, true};
  for (unsigned inside, outside, count; fscanf(map, "%u %u %u", &inside, &outside, &count) == 3;) {
    if (own - inside < count) result.uid = outside + (own - inside);
    if (outside == 0) result.has_root = true;
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

bool places_launchers(struct sockaddr_un *address) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = look_outside();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  size_t capacity = sizeof(address->sun_path);
  int length = snprintf(address->sun_path, capacity, "%s%s/daemon/launchers.sock", runtime,
                        is_own ? "" : "/slipway");
  return length > 0 && (size_t)length < capacity;
}

bool places_stayed(char *path, size_t capacity) {
  char runtime[PATH_MAX];
  bool is_own;
  struct outside outside = look_outside();
  if (!find_runtime(&outside, runtime, sizeof(runtime), &is_own)) return false;
  int length = snprintf(path, capacity, "%s/slipway.stayed", runtime);
  return length > 0 && (size_t)length < capacity;
}
