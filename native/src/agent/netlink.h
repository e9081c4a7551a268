/* The requests of rtnetlink that an agent passes on: those that Slipway makes, and no others. */
#ifndef TUNTAP2_NETLINK_H
#define TUNTAP2_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether `bytes` are one whole message that sets a link, or adds or deletes an address or a route, with the flags
 * and attributes of src/wire/rtnetlink.ts, and asks for one acknowledgement. Attributes that are not on
 * the list have reached other namespaces (IFLA_NET_NS_PID), or make what nobody asked for (IFLA_LINKINFO).
 */
bool netlink_is_allowed(const uint8_t *bytes, size_t length);

#endif
