/* Reads and checks the headers of a TCP segment from the guest. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

/* A TCP segment in a frame. */
struct segment {
  struct tuple tuple;
  uint8_t *ip, *tcp; /* the headers, in the frame */
  uint32_t length;   /* bytes of TCP: header and payload */
  const uint8_t *source_mac;
  uint8_t flags;
  uint32_t sequence; /* host byte order */
};

/*
 * Parses the frame of `length` bytes, virtio header included, and cuts its TCP options to those
 * that lwIP may see. `offload`: the virtio header is valid. ABI_INPUT_TAKEN: `segment` is filled
 * in; ABI_INPUT_PASS: not TCP behind a plain IP header, the frame is as it was; else why it is to
 * be dropped, ABI_DROP_….
 */
int32_t segment_parse(struct segment *segment, uint8_t *frame, uint32_t length, bool offload);

/* Bytes of data in the segment. */
uint32_t segment_payload(const struct segment *segment);
