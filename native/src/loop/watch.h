/* Membership of the epoll set. */
#ifndef TUNTAP2_WATCH_H
#define TUNTAP2_WATCH_H

#include <stdint.h>

struct instance;

/* Above every token, which has 32 bits: libuv's own descriptor. */
#define WATCH_LIBUV UINT64_MAX

int watch_remove(struct instance *instance, int fd);

#endif
