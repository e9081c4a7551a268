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
