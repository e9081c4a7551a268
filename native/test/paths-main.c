/*
 * The launcher's rules of paths, for paths.test.ts: for each argument 1 or 0, whether it is a safe directory; without
 * arguments where launchers look for the daemon, and where a supervisor leaves its list.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <string.h>

#include "../launcher/common/daemon-paths.h"
#include "../launcher/common/safe-directory.h"

static bool is_initial_namespace(void) {
  unsigned inside = 1, outside = 1, count = 0;
  FILE *map = fopen("/proc/self/uid_map", "re");
  if (map == NULL || fscanf(map, "%u %u %u", &inside, &outside, &count) != 3) return false;
  fclose(map);
  return inside == 0 && outside == 0 && count == UINT_MAX;
}

int main(int argc, char **argv) {
  struct sockaddr_un launchers = {.sun_family = AF_UNIX};
  char stayed[PATH_MAX];
  for (int i = 1; i < argc; i++) putchar(safe_directory(argv[i], is_initial_namespace()) ? '1' : '0');
  if (argc > 1) return 0;
  puts(daemon_paths_launchers(&launchers) ? launchers.sun_path : "-");
  puts(daemon_paths_stayed(stayed, sizeof(stayed)) ? stayed : "-");
  return 0;
}
