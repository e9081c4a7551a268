/* The descriptors that this instance issued. JavaScript can't reach any other. */
#ifndef TUNTAP2_HANDLES_H
#define TUNTAP2_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum handle_kind {
  HANDLE_PLAIN = 1,   /* TAPs, sockets, adopted descriptors: all ordinary syscalls */
  HANDLE_PIDFD = 2,   /* waitChild, pidfdSignal */
  HANDLE_CONTROL = 4, /* releaseSpawned */
  HANDLE_ANY = HANDLE_PLAIN | HANDLE_PIDFD | HANDLE_CONTROL, /* watch, close */
  HANDLE_WATCHED = 128, /* a flag beside the kind: the descriptor is in the epoll set */
};

struct handles {
  uint8_t *kinds; /* by descriptor; 0: not ours */
  size_t capacity;
};

static inline bool handles_has(const struct handles *handles, int fd, unsigned kinds) {
  return fd >= 0 && (size_t)fd < handles->capacity && (handles->kinds[fd] & kinds) != 0;
}

/*
 * Makes `fd` a handle and returns it. A negative `fd` gives -errno, so that a system call can be the argument.
 * Closes `fd` when out of memory.
 */
int handles_issue(struct handles *handles, int fd, enum handle_kind kind);

void handles_forget(struct handles *handles, int fd);

/* Closes every handle. Async-signal-safe: a forked child calls it, too. */
void handles_close_all(const struct handles *handles);

void handles_free(struct handles *handles);

#endif
