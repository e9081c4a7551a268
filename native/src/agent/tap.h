/* Configures an open TAP, for the agent that opened it and for a process that was given one. */
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
 * Configures a TAP that somebody else opened like ours. Returns whether its frames have a virtio header, 1 or 0,
 * or a negative errno: ENOTTY not a TAP, EINVAL a device of another kind.
 */
int tap_set_up(int tap);

#endif
