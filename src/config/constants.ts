/** Constants that several folders need. */

/** Valid MTUs, in bytes of IP. RFC 791: every module forwards 68 bytes; 65521 is slirp4netns's limit. */
export const MTU_RANGE = { least: 68, most: 65_521 } as const;
export const DEFAULT_MTU = 1500;

/**
 * MTUs inside tunnels over a path of 1500 bytes. VXLAN adds 50: IP, UDP, its own header and Ethernet (RFC 7348 §5).
 * WireGuard adds 80 at most: IPv6, UDP, header and tag, and padding to 16.
 */
export const VXLAN_MTU = 1450;
export const WIREGUARD_MTU = 1420;

/** Smallest MTU of a link with IPv6 (RFC 8200 §5); below it Linux disables IPv6. */
export const IPV6_LEAST_MTU = 1280;

/**
 * Transmit queue length of a TAP, in frames. A burst of small frames overflows the usual 1000, which the kernel drops
 * silently.
 */
export const TXQUEUELEN = 10_000;

/** Names of the host in podman and Docker. */
export const HOST_NAMES: readonly string[] = ["host.containers.internal", "host.docker.internal"];

/** Instead of an address in `--add-host`: where the guest reaches its host. */
export const HOST_GATEWAY = "host-gateway";

/** Name servers that the C library asks: MAXNS of resolv.h. */
export const MOST_NAME_SERVERS = 3;

/** PID_MAX_LIMIT of the kernel, 64 bits. */
export const HIGHEST_PID = 2 ** 22;

/** Longest path of a local socket, in bytes: sun_path of unix(7) without its terminating NUL. */
export const LONGEST_SOCKET_PATH = 107;

/** Memory for a guest's packets and connections unless --memory says otherwise, in bytes. */
export const DEFAULT_MEMORY_BUDGET = 64 * 1024 * 1024;

/** How long a guest's network goes on delivering after COMMAND has ended, in ms. */
export const DRAIN_LIMIT = 5_000;

/** The id of a container or member. */
export const FULL_ID = /^[0-9a-f]{64}$/;

/** Digits of an id that are shown, as in docker. */
export const SHORT_ID_LENGTH = 12;

/** Most ports of one request of the API: each takes a socket. */
export const MOST_PORTS_AT_ONCE = 4096;

/** Limits of a request to the daemon: characters of a text, and texts of a list. */
export const LONGEST_TEXT = 4096;
export const MOST_TEXTS = 256;
