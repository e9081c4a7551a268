import type { Family } from "../base/address.js";

// linux/netlink.h
export const NETLINK_HEADER_LENGTH = 16;
export const NLM_F_REQUEST = 0x1;

/** AF_INET and AF_INET6. */
export const ADDRESS_FAMILY: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
