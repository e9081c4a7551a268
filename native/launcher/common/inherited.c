#include "inherited.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Takes the first number off a list. Returns what follows; NULL: there was none. */
static const char *take(const char *list, long *fd) {
  if (list == NULL || *list == '\0') return NULL;
  char *end;
  *fd = strtol(list, &end, 10);
  return *end == '\0' ? end : end + 1;
}

bool inherited_has(int fd) {
  const char *list = getenv("SLIPWAY_FDS");
  if (list == NULL) return fcntl(fd, F_GETFD) >= 0;
  for (long listed; (list = take(list, &listed)) != NULL;) {
    if (listed == fd) return true;
  }
  return false;
}

void inherited_close(void) {
  const char *list = getenv("SLIPWAY_FDS");
  for (long fd; (list = take(list, &fd)) != NULL;) {
    if (fd > STDERR_FILENO) close((int)fd);
  }
}
