#include "input.h"

#include <stddef.h>
#include <string.h>

#include "heap.h"
#include "link.h"
#include "opening.h"
#include "pcbs.h"
#include "relay.h"
#include "segment.h"
#include "shares.h"
#include "to_host.h"
#include "wire.h"

/* A received frame that lwIP may keep, behind lwIP's header for it. */
struct receive_buffer {
  struct pbuf_custom pbuf;
  uint8_t frame[ABI_FRAME_CAPACITY];
};
_Static_assert(sizeof(struct receive_buffer) <= HEAP_BLOCK_SIZE, "a frame fits a block");

static struct receive_buffer *current;

/* ---- buffers ---- */

static struct receive_buffer *buffer_of(const uint8_t *frame) {
  return (struct receive_buffer *)(uintptr_t)(frame - offsetof(struct receive_buffer, frame));
}

static void give_back(struct pbuf *pbuf) { heap_free(pbuf); }
static void keep(struct pbuf *pbuf) { (void)pbuf; }

static struct receive_buffer *new_buffer(void) {
  struct receive_buffer *buffer = heap_block();
  if (buffer) buffer->pbuf.custom_free_function = give_back;
  return buffer;
}

void input_init(void) { current = new_buffer(); }

uint8_t *input_buffer(void) { return current->frame; }

uint8_t *input_buffer_take(void) {
  struct receive_buffer *next = new_buffer();
  if (!next) return NULL;
  uint8_t *taken = current->frame;
  current = next;
  return taken;
}

void input_buffer_give(uint8_t *frame) { heap_free(buffer_of(frame)); }

/* ---- frames ---- */

/* For a segment that only acknowledges or resets: lwIP keeps nothing of it. */
static struct pbuf *bare_pbuf(const struct segment *segment) {
  static struct pbuf_custom bare = {.custom_free_function = keep};
  return pbuf_alloced_custom(PBUF_RAW, (u16_t)segment->length, PBUF_REF, &bare, segment->tcp,
                             (u16_t)segment->length);
}

/*
 * In-order data goes to lwIP in the buffer it was read into. Anything else is copied, as lwIP may
 * keep it for long, and out-of-order segments must not hold a block each. A segment without
 * anything to keep needs no memory, so that an acknowledgment or RST, which frees memory, is
 * processed also when there is none.
 */
static struct pbuf *pbuf_of(const struct segment *segment, bool in_order, bool has_data) {
  if (!has_data && !(segment->flags & (TCP_FLAG_SYN | TCP_FLAG_FIN))) return bare_pbuf(segment);
  if (in_order) {
    struct receive_buffer *buffer = current, *next = new_buffer();
    if (next) {
      current = next;
      return pbuf_alloced_custom(PBUF_RAW, (u16_t)segment->length, PBUF_REF, &buffer->pbuf,
                                 segment->tcp, (u16_t)segment->length);
    }
  }
  struct pbuf *copy = pbuf_alloc(PBUF_RAW, (u16_t)segment->length, PBUF_RAM);
  if (copy) memcpy(copy->payload, segment->tcp, segment->length);
  return copy;
}

/*
 * lwIP keeps out-of-order data beyond its window, and its window then falls below zero. This also
 * applies to the segment that opens the connection, before which lwIP has a larger window in mind
 * than was announced.
 */
static bool is_beyond_window(const struct segment *segment, const struct flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  uint32_t taken = segment_payload(segment) + ((segment->flags & TCP_FLAG_FIN) != 0);
  return taken > 0 && TCP_SEQ_GT(segment->sequence, pcb->rcv_nxt) &&
         TCP_SEQ_GT(segment->sequence + taken, pcb->rcv_nxt + to_host_window(flow));
}

/* While its SYN is held a flow knows RST only; whatever else comes, the guest sends again. */
static void input_to_held(struct flow *flow, uint8_t flags) {
  if (!(flags & TCP_FLAG_RST)) return;
  flow_notify(flow, ABI_EVENT_RESET);
  relay_detach(flow);
}

int32_t input_frame(uint32_t length) {
  struct segment segment;
  int32_t verdict = segment_parse(&segment, current->frame, length, link_offload());
  if (verdict != ABI_INPUT_TAKEN) return verdict;
  uint16_t bucket = bucket_of(&segment.tuple);
  struct flow *flow = flow_find(bucket, &segment.tuple);
  bool opens = (segment.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_SYN;
  if (opens && !flow) return opening_hold(&segment, bucket);
  if (flow) flow->frames_in++;
  if (flow && flow->state == FLOW_SYN_HELD) {
    input_to_held(flow, segment.flags);
    return ABI_INPUT_TAKEN;
  }
  bool in_order = flow && flow->pcb && flow->pcb->rcv_nxt == segment.sequence;
  bool has_data = segment_payload(&segment) > 0;
  if (flow && has_data && shares_is_over_quota(flow, in_order)) return ABI_DROP_OVER_QUOTA;
  if (flow && flow->pcb && is_beyond_window(&segment, flow)) return ABI_DROP_OVER_QUOTA;

  link_answer_to(segment.source_mac);
  struct pbuf *pbuf = pbuf_of(&segment, in_order, has_data);
  if (!pbuf) return ABI_DROP_NO_MEMORY;
  pcbs_select(bucket);
  link_input(pbuf, segment.ip, &segment.tuple, flow);
  if (flow) relay_settle(flow);
  return ABI_INPUT_TAKEN;
}
