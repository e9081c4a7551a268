/*
 * Frames in and out. IP is the glue's, TCP is lwIP's: headers are validated here before lwIP
 * sees a segment, and written here in front of what lwIP sends, for both families alike.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct config {
  uint16_t mtu;      /* of the guest's interface, bytes of IP */
  bool offload;      /* the TAP has a virtio header: checksums and segmentation are the kernel's */
  uint8_t mac[6];    /* the gateway's */
};

void packet_init(const struct config *config);
bool stack_offload(void);

/* The buffer for the next frame: ABI_FRAME_CAPACITY bytes, virtio header first. */
uint8_t *packet_buffer(void);
/* Keeps the buffer for the caller and provides another. NULL when memory is short. */
uint8_t *packet_buffer_take(void);
void packet_buffer_give(uint8_t *buffer);

/* Processes the frame of `length` bytes (virtio header included): ABI_INPUT_… or ABI_DROP_…. */
int32_t packet_input(uint32_t length);

/* Feeds the held SYN to lwIP, which answers SYN|ACK. False when lwIP had no memory. */
bool packet_accept(struct flow *flow);
/* Answers the held SYN with RST. */
void packet_refuse(struct flow *flow);
/* Sends a SYN to the guest, from the flow's peer address. False when lwIP had no memory. */
bool packet_connect(struct flow *flow);
