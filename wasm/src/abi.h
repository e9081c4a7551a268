/*
 * The numbers that C and TypeScript share. The build makes a constant of src/stack/abi.ts of each
 * `#define ABI_…`.
 */
#pragma once

/*
 * Bytes of the virtio_net_hdr in front of every frame in a receive buffer; present without offload,
 * too.
 */
#define ABI_VNET_HEADER_SIZE 10
/* Bytes of a receive buffer: the longest frame, virtio header included. */
#define ABI_FRAME_CAPACITY 66048
/* Most flows of a stack; flow ids are below it. */
#define ABI_MAX_FLOWS 65536
/* Entries of the event array: pairs of flow id and event bits. */
#define ABI_MAX_EVENTS 256
/* Entries of the I/O vector: pairs of address and length. */
#define ABI_MAX_IOV 64

/* Events of a flow, ORed. */
#define ABI_EVENT_SYN 1
#define ABI_EVENT_OPEN 2
#define ABI_EVENT_DATA 4
#define ABI_EVENT_SPACE 8
#define ABI_EVENT_FIN 16
#define ABI_EVENT_CLOSED 32
#define ABI_EVENT_RESET 64

/* What input() returns for a frame. */
#define ABI_INPUT_TAKEN 0
#define ABI_INPUT_PASS 1
#define ABI_DROP_LENGTH (-1)
#define ABI_DROP_TCP_HEADER (-2)
#define ABI_DROP_TCP_CHECKSUM (-3)
#define ABI_DROP_NO_MEMORY (-4)
#define ABI_DROP_FLOW_LIMIT (-5)
#define ABI_DROP_OVER_QUOTA (-6)
#define ABI_DROP_ADDRESS (-7)

/* Indices of the statistics array. */
#define ABI_STAT_FLOWS 0
#define ABI_STAT_BLOCKS_IN_USE 1
#define ABI_STAT_FRAMES_OUT 2
#define ABI_STAT_SEGMENTED_OUT 3
#define ABI_STAT_OUTPUT_ERRORS 4
#define ABI_STAT_OVER_QUOTA 5
#define ABI_STAT_ALLOCATION_FAILURES 6
#define ABI_STAT_BLOCK_SIZE 7
#define ABI_STAT_BLOCKS_PEAK 8
#define ABI_STAT_COUNT 9

/* ---- frames in a tunnel: src/split.c, src/join.c ---- */

/* Segments of one call of split: what one send with UDP_SEGMENT may have. */
#define ABI_SPLIT_MOST 64
/* Bytes of the datagrams of one such send together: the longest UDP payload over IPv4. */
#define ABI_SPLIT_BYTES 65507
/* Room in front of each segment that its owner may write to. */
#define ABI_SPLIT_ROOM 16
/* Bytes of the table for messages, and of the place for small datagrams, beside the segments. */
#define ABI_SPLIT_TABLE 4096
#define ABI_SPLIT_BATCH 65536
/* What split and join may be asked for, ORed. */
#define ABI_TUNNEL_VNET 1
#define ABI_TUNNEL_IP 2
#define ABI_TUNNEL_ROUTED 4
#define ABI_TUNNEL_USO 8
/* Indices of what split says about the segments. */
#define ABI_SPLIT_SIZE 0
#define ABI_SPLIT_LAST_SIZE 1
#define ABI_SPLIT_CLASS 2
#define ABI_SPLIT_LEFT 3
#define ABI_SPLIT_IS_GSO 4
#define ABI_SPLIT_WORDS 5

/* Most datagrams of one call of join, and words that describe each. */
#define ABI_JOIN_MOST 256
#define ABI_JOIN_INPUT_WORDS 3
/* Most bytes of a frame's headers that are contiguous, from the Ethernet header on. */
#define ABI_JOIN_HEADERS 246
/* Words of a frame that join made, and their indices. */
#define ABI_JOIN_FRAME_WORDS 8
#define ABI_JOIN_IOV 0
#define ABI_JOIN_IOV_COUNT 1
#define ABI_JOIN_HEADER_SIZE 2
#define ABI_JOIN_LENGTH 3
#define ABI_JOIN_VNI 4
#define ABI_JOIN_DATAGRAMS 5
#define ABI_JOIN_ETHERNET 6
#define ABI_JOIN_IS_EXPIRED 7

/* Why split or join refused a frame. */
#define ABI_REFUSED_LENGTH (-1)
#define ABI_REFUSED_IP_HEADER (-2)
#define ABI_REFUSED_IP_CHECKSUM (-3)
#define ABI_REFUSED_TRANSPORT (-4)
#define ABI_REFUSED_TCP_CHECKSUM (-5)
#define ABI_REFUSED_UDP_CHECKSUM (-6)
#define ABI_REFUSED_OFFLOAD (-7)
#define ABI_REFUSED_TOO_BIG (-8)
#define ABI_REFUSED_EXPIRED (-9)
#define ABI_REFUSED_NOT_IP (-10)
#define ABI_REFUSED_TUNNEL (-11)
#define ABI_REFUSED_CONGESTION (-12)
#define ABI_REFUSED_COUNT 13
