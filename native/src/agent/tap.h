/* What a TAP is told once it is open; for its maker (agent.c) and for whoever is given one. */
#ifndef TUNTAP2_TAP_H
#define TUNTAP2_TAP_H

#include <stdbool.h>

/* Sets the length of the virtio header. Returns what ioctl(2) does. */
int tap_set_vnet_header(int tap);

/*
 * Takes all offloads that the kernel has, or none without the header: a persistent TAP keeps those of
 * its last user. Returns what ioctl(2) does.
 */
int tap_set_offload(int tap, bool vnet_header);

/*
 * Makes a TAP that somebody else has opened as ours are. Returns whether its frames have a virtio
 * header, 1 or 0, or a negative errno: ENOTTY no TAP at all, EINVAL one of another kind.
 */
int tap_set_up(int tap);

#endif
