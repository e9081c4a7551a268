/** Well-known values that several parts agree on. */

/** MTUs that may be asked for, in bytes of IP. RFC 791: every host forwards 68; 65521 is what slirp4netns takes. */
export const MTU_RANGE = { least: 68, most: 65_521 } as const;
export const DEFAULT_MTU = 1500;

/** Smallest MTU of a link that carries IPv6 (RFC 8200 §5); Linux switches it off below. */
export const IPV6_LEAST_MTU = 1280;

/** Of a TAP, in frames: a burst of small frames overflows the usual 1000, and the kernel tells nobody. */
export const TXQUEUELEN = 10_000;

/** What podman and Docker call the host; answered with the gateway's addresses. */
export const HOST_NAMES: readonly string[] = ["host.containers.internal", "host.docker.internal"];

/** Name servers that the C library asks: MAXNS of resolv.h. */
export const MOST_NAME_SERVERS = 3;

/** PID_MAX_LIMIT of the kernel, 64 bits. */
export const HIGHEST_PID = 2 ** 22;

/** Of what a guest's packets and connections may hold unless the user says otherwise, in bytes. */
export const DEFAULT_MEMORY_BUDGET = 64 * 1024 * 1024;

/** For how long a guest's network goes on delivering after its command has ended, in ms. */
export const DRAIN_LIMIT = 5_000;

/** The id of a container or member. */
export const FULL_ID = /^[0-9a-f]{64}$/;
/** Characters of an id that are shown, as docker shortens it. */
export const SHORT_ID_LENGTH = 12;
