#include "netns.h"

#include <sys/socket.h>

/* asm-generic/socket.h, Linux 5.14: libc's headers may be older. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* #syscalls node: getsockopt(1=SOL_SOCKET;2=71) */
int netns_cookie(int socket, uint64_t *cookie) {
  socklen_t length = sizeof(*cookie);
  return getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length);
}
