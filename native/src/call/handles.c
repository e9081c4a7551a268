#include "handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 64 };

static bool make_room(struct handles *handles, size_t index) {
  size_t capacity = handles->capacity == 0 ? FIRST_CAPACITY : handles->capacity;
  while (capacity <= index) capacity *= 2;
  if (capacity == handles->capacity) return true;
  uint8_t *kinds = realloc(handles->kinds, capacity);
  if (kinds == NULL) return false;
  memset(kinds + handles->capacity, 0, capacity - handles->capacity);
  handles->kinds = kinds;
  handles->capacity = capacity;
  return true;
}

int handles_issue(struct handles *handles, int fd, enum handle_kind kind) {
  if (fd < 0) return -errno;
  if (!make_room(handles, (size_t)fd)) {
    close(fd);
    return -ENOMEM;
  }
  handles->kinds[fd] = (uint8_t)kind;
  return fd;
}

void handles_forget(struct handles *handles, int fd) {
  handles->kinds[fd] = 0;
}

void handles_close_all(const struct handles *handles) {
  for (size_t fd = 0; fd < handles->capacity; fd++) {
    if (handles->kinds[fd] != 0) close((int)fd);
  }
}

void handles_free(struct handles *handles) {
  free(handles->kinds);
  *handles = (struct handles){0};
}
