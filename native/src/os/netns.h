/* The identity of network namespaces. */
#ifndef TUNTAP2_NETNS_H
#define TUNTAP2_NETNS_H

#include <stdint.h>

/*
 * Reads the cookie of the network namespace that a socket is in: no other namespace has had it since boot. -1 with
 * errno.
 */
int netns_cookie(int socket, uint64_t *cookie);

#endif
