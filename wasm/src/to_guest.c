#include "to_guest.h"

#include "heap.h"
#include "link.h"
#include "pcbs.h"
#include "shares.h"

/*
 * Data up to this size is copied, so that it does not hold a whole block: with headers an object of
 * 16 KiB.
 */
#define COPY_LIMIT 16128

/* lwIP cuts at its MSS, so that a chunk is one superframe; IPv6's header takes 20 bytes more. */
#define MSS_V4 65495
#define MSS_V6 65475
#define CHUNK_CAPACITY MSS_V4
_Static_assert(sizeof(struct chunk) + CHUNK_CAPACITY <= HEAP_BLOCK_SIZE, "a chunk fits a block");

/* The least MTU that a router may ask for: RFC 1122 §3.3.3, RFC 8200 §5. */
#define LEAST_MTU_V4 576
#define LEAST_MTU_V6 1280

/* Blocks that data does not get: they are for lwIP's headers and PCBs. */
#define BLOCKS_IN_RESERVE 16

static struct chunk *spare; /* the block for the next bytes received, of whatever flow */

/*
 * lwIP has learned the guest's MSS. With offload that becomes the segment size in the virtio
 * header, and lwIP itself writes superframes; without, it is lwIP's.
 */
void to_guest_open(struct flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  /* lwIP takes the MSS of a repeated SYN as it is, even when it exceeds what the link carries. */
  flow->guest_mss = pcb->mss = tcp_eff_send_mss(pcb->mss, &flow->peer, &flow->guest);
  if (link_offload()) pcb->mss = IP_IS_V6(&flow->peer) ? MSS_V6 : MSS_V4;
  /*
   * tcp_write cuts at half the largest window so far, and at the MSS while that window is 0. If the
   * cut shrank when a first small window comes, the room left in the last segment would be below
   * zero and the segment's 16-bit length would overflow. With this the cut only grows.
   */
  if (pcb->snd_wnd_max < 2u * flow->guest_mss) pcb->snd_wnd_max = 2u * flow->guest_mss;
  /* A congestion window below one of lwIP's segments would never let the first one go. */
  pcb->cwnd = 2u * pcb->mss;
  tcp_nagle_disable(pcb);
}

int32_t to_guest_reserve(struct flow *flow, uint8_t **where) {
  struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || flow->state != FLOW_OPEN || flow->fin_to_guest) return 0;
  uint32_t used = shares_send_used(flow), limit = shares_send_limit(flow);
  if (flow_has_unwritten(flow)) return 0;
  /* With nothing in flight no acknowledgment would say when there is room. */
  if (used == 0 && limit == 0) return -1;
  if (used >= limit || pcb->snd_queuelen > TCP_SND_QUEUELEN - 16) return 0;
  /* Also when there is a spare block: what is copied from it takes memory, too. */
  if (heap_blocks_free() <= BLOCKS_IN_RESERVE) return -1;
  if (!spare) spare = heap_block();
  if (!spare) return -1;
  uint32_t room = tcp_sndbuf(pcb), capacity = CHUNK_CAPACITY;
  /* Small enough to be copied: a flow with a share of less than a block must not hold a block. */
  if (heap_is_tight() && !flow->guest_progressing) capacity = COPY_LIMIT;
  if (room > capacity) room = capacity;
  if (room > limit - used) room = limit - used;
  *where = spare->data;
  return (int32_t)room;
}

static void lend_spare(struct flow *flow, uint32_t length) {
  struct chunk *chunk = spare;
  spare = NULL;
  chunk->next = NULL;
  chunk->length = length;
  chunk->written = 0;
  if (flow->last_chunk) flow->last_chunk->next = chunk;
  else flow->chunks = chunk;
  flow->last_chunk = chunk;
  flow->chunk_count++;
}

void to_guest_push(struct flow *flow) {
  struct chunk *chunk = flow->last_chunk;
  if (!flow->pcb || !flow_has_unwritten(flow)) return;
  pcbs_select(flow->bucket);
  uint16_t length = (uint16_t)(chunk->length - chunk->written);
  if (tcp_write(flow->pcb, chunk->data + chunk->written, length, 0) != ERR_OK) return;
  chunk->written += length;
  shares_sent(flow, length);
  chunk->end = flow->sent_end;
  if (flow->fin_to_guest) tcp_shutdown(flow->pcb, 0, 1);
  tcp_output(flow->pcb);
}

void to_guest_finish(struct flow *flow) {
  if (!flow->pcb || flow->fin_to_guest) return;
  flow->fin_to_guest = true;
  if (flow_has_unwritten(flow)) return;
  pcbs_select(flow->bucket);
  tcp_shutdown(flow->pcb, 0, 1);
}

void to_guest_commit(struct flow *flow, uint32_t length) {
  if (!flow->pcb || !spare || length == 0 || length > CHUNK_CAPACITY) return;
  pcbs_select(flow->bucket);
  heap_may_copy = true;
  bool copied = length <= COPY_LIMIT &&
                tcp_write(flow->pcb, spare->data, (uint16_t)length, TCP_WRITE_FLAG_COPY) == ERR_OK;
  heap_may_copy = false;
  if (copied) {
    shares_sent(flow, length);
    tcp_output(flow->pcb);
    return;
  }
  lend_spare(flow, length);
  to_guest_push(flow);
}

bool to_guest_update_path_mtu(struct flow *flow, uint32_t sequence, uint32_t mtu) {
  struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || flow->state != FLOW_OPEN) return false;
  if (sequence - pcb->lastack >= pcb->snd_nxt - pcb->lastack) return false;
  bool v6 = IP_IS_V6(&flow->guest);
  uint32_t least = v6 ? LEAST_MTU_V6 : LEAST_MTU_V4;
  uint16_t mss = (uint16_t)((mtu < least ? least : mtu) - (v6 ? 60 : 40));
  if (mss >= flow->guest_mss) return true;
  flow->guest_mss = mss;
  if (pcb->mss > mss && !link_offload()) pcb->mss = mss;
  pcbs_select(flow->bucket);
  if (tcp_rexmit(pcb) == ERR_OK) tcp_output(pcb);
  return true;
}

void to_guest_acknowledged(struct flow *flow, uint32_t length) {
  shares_acknowledged(flow, length);
  struct chunk *chunk;
  while ((chunk = flow->chunks) && chunk->written == chunk->length &&
         (int32_t)(flow->acked_end - chunk->end) >= 0) {
    flow->chunks = chunk->next;
    if (!flow->chunks) flow->last_chunk = NULL;
    flow->chunk_count--;
    heap_free(chunk);
  }
}

void to_guest_free(struct flow *flow) {
  while (flow->chunks) {
    struct chunk *next = flow->chunks->next;
    heap_free(flow->chunks);
    flow->chunks = next;
  }
  flow->last_chunk = NULL;
  flow->chunk_count = 0;
}
