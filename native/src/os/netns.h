/* Network namespaces, told apart. */
#ifndef TUNTAP2_NETNS_H
#define TUNTAP2_NETNS_H

#include <stdint.h>

/* What no other network namespace has, or has had since the boot, of the one that a socket is in. -1 with errno. */
int netns_cookie(int socket, uint64_t *cookie);

#endif
