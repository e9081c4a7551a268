#include "relay.h"

#include <string.h>

#include "heap.h"
#include "packet.h"

/* A span of copied bytes: small segments are coalesced, so that n bytes waiting cost about n. */
#define SPAN_OBJECT 4096
#define SPAN_CAPACITY (SPAN_OBJECT - (uint32_t)sizeof(struct span))
/* Segments up to this size are copied; a longer one keeps its receive buffer (trap 3). */
#define COPY_LIMIT 2048
/* Data from the host up to this size is copied, so that it does not hold a whole block. */
#define COPY_DOWN_LIMIT 16128 /* with headers and lwIP's own an object of 16 KiB */

/* In flight to one guest in all, and at least per flow. */
#define SEND_TOTAL (2 * 1024 * 1024)
#define SEND_LEAST (128 * 1024)

#define WINDOW_START 65535
#define WINDOW_LEAST 16384
#define WINDOW_MOST (1024 * 1024)

/* lwIP cuts at its MSS, so a chunk is one superframe; IPv6's header takes 20 bytes more. */
#define MSS_V4 65495
#define MSS_V6 65475

/* Bytes that an end takes between two ticks, or it counts as one that does not read. */
#define LEAST_PROGRESS 4096

/* What the guest's routers may narrow the path to: RFC 1122 §3.3.3, RFC 8200 §5. */
#define LEAST_MTU_V4 576
#define LEAST_MTU_V6 1280

/* Blocks kept for lwIP's own needs (headers, PCBs) when data would take the last ones. */
#define BLOCKS_IN_RESERVE 16

/* Flows whose ACK waits, in two generations: put off in this wake-up and in the one before. */
#define MAX_DEFERRED 1024
static struct deferred {
  uint32_t count;
  uint16_t ids[MAX_DEFERRED];
} deferred[2];
static int deferring;

static struct chunk *spare; /* the block that the next receive goes to, whatever its flow */

uint32_t relay_chunk_capacity(void) {
  uint32_t room = HEAP_BLOCK_SIZE - (uint32_t)sizeof(struct chunk);
  return room < MSS_V4 ? room : MSS_V4;
}

/* ---- guest → host ---- */

static void append_span(struct flow *flow, struct span *span) {
  span->next = NULL;
  if (flow->last_span) flow->last_span->next = span;
  else flow->spans = span;
  flow->last_span = span;
}

static uint32_t room_in_span(const struct span *span) {
  if (!span || span->owner) return 0;
  return SPAN_CAPACITY - (uint32_t)(span->data - span->bytes) - span->length;
}

static struct span *new_copy_span(void) {
  struct span *span = heap_alloc(SPAN_OBJECT);
  if (!span) return NULL;
  span->owner = NULL;
  span->data = span->bytes;
  span->length = 0;
  return span;
}

static bool copy_to_spans(struct flow *flow, const uint8_t *from, uint32_t length) {
  while (length > 0) {
    uint32_t room = room_in_span(flow->last_span);
    if (room == 0) {
      struct span *span = new_copy_span();
      if (!span) return false;
      append_span(flow, span);
      continue;
    }
    uint32_t part = length < room ? length : room;
    struct span *last = flow->last_span;
    memcpy(last->data + last->length, from, part);
    last->length += part;
    flow->held += part;
    from += part;
    length -= part;
  }
  return true;
}

static bool keep_frame(struct flow *flow, struct pbuf *frame) {
  struct span *span = heap_alloc(sizeof *span);
  if (!span) return false;
  span->owner = frame;
  span->data = frame->payload;
  span->length = frame->len;
  append_span(flow, span);
  flow->held += frame->len;
  return true;
}

static void free_span(struct span *span) {
  if (span->owner) pbuf_free(span->owner);
  heap_free(span);
}

/*
 * Room for the copy is made sure of before lwIP acknowledges anything: input() drops a segment
 * while the heap could not take it, so a failure here means the budget ended within one segment.
 * lwIP then keeps the data as refused and offers it again.
 */
static err_t take_segment(struct flow *flow, struct pbuf *segment) {
  if (!segment->next && segment->len > COPY_LIMIT && keep_frame(flow, segment)) return ERR_OK;
  struct span *last_before = flow->last_span;
  uint32_t length_before = last_before ? last_before->length : 0, held_before = flow->held;
  for (struct pbuf *part = segment; part; part = part->next) {
    if (copy_to_spans(flow, part->payload, part->len)) continue;
    struct span *surplus = last_before ? last_before->next : flow->spans;
    while (surplus) {
      struct span *next = surplus->next;
      free_span(surplus);
      surplus = next;
    }
    flow->last_span = last_before;
    if (last_before) {
      last_before->next = NULL;
      last_before->length = length_before;
    } else {
      flow->spans = NULL;
    }
    flow->held = held_before;
    return ERR_MEM;
  }
  pbuf_free(segment);
  return ERR_OK;
}

static err_t on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *segment, err_t error) {
  struct flow *flow = arg;
  (void)error;
  if (!flow) {
    if (segment) pbuf_free(segment);
    return ERR_OK;
  }
  if (!segment) {
    flow->fin_from_guest = true;
    flow_notify(flow, ABI_EVENT_FIN);
    return ERR_OK;
  }
  err_t result = take_segment(flow, segment);
  if (result == ERR_OK) {
    /* One ACK per flow and batch, by relay_consumed. */
    tcp_clear_flags(pcb, TF_ACK_NOW | TF_ACK_DELAY);
    flow_notify(flow, ABI_EVENT_DATA);
  }
  return result;
}

uint32_t relay_pending(const struct flow *flow, struct iov *pieces, uint32_t capacity) {
  uint32_t count = 0;
  for (const struct span *span = flow->spans; span && count < capacity; span = span->next) {
    if (span->length == 0) continue;
    pieces[count].base = (uint32_t)(uintptr_t)span->data;
    pieces[count++].length = span->length;
  }
  return count;
}

static void free_sent(struct flow *flow, uint32_t length) {
  while (length > 0 && flow->spans) {
    struct span *span = flow->spans;
    if (length < span->length) {
      span->data += length;
      span->length -= length;
      flow->held -= length;
      return;
    }
    length -= span->length;
    flow->held -= span->length;
    flow->spans = span->next;
    if (!flow->spans) flow->last_span = NULL;
    free_span(span);
  }
}

/*
 * The host does not keep up: frames that hold a block for little data are copied together. One
 * free block has room for all of one frame, so the copy cannot fail half-way.
 */
static void compact(struct flow *flow) {
  uint32_t worth_a_block = HEAP_BLOCK_SIZE / 8 * (heap_is_tight() ? 7 : 4);
  struct span *old = flow->spans;
  flow->spans = flow->last_span = NULL;
  while (old) {
    struct span *next = old->next;
    bool wasteful = old->owner && old->length < worth_a_block;
    if (wasteful && heap_blocks_free() > 0) {
      flow->held -= old->length;
      copy_to_spans(flow, old->data, old->length);
      free_span(old);
    } else {
      append_span(flow, old);
    }
    old = next;
  }
}

static uint32_t bytes_left(void) { return heap_blocks_free() * HEAP_BLOCK_SIZE; }

/*
 * What a flow that does not keep up may hold when memory is tight, equal for all: ever less as memory
 * ends, so that stalled flows never take the last of it from those that move.
 */
static uint32_t stalled_quota(void) { return 2 * bytes_left() / (flows_count() + 1); }

/* Flows that `take`. */
static uint32_t taking;

static void set_taking(struct flow *flow, bool takes) {
  taking += (uint32_t)takes - (uint32_t)flow->takes;
  flow->takes = takes;
}

static bool is_stuck(const struct flow *flow) { return flow->lags && !flow->takes; }

/*
 * The part of a flow that moves in what is left, with what it holds of it already. All that many flows
 * are promised fits, so that none of it is dropped when their hosts stop all at once.
 */
static uint32_t moving_quota(const struct flow *flow) {
  return (bytes_left() + flow->held) / (taking + 1);
}

/* Half of the part: it shrinks while more flows begin to move, and what was promised stays so. */
static uint32_t window_limit(const struct flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  uint32_t share = (heap_is_tight() && is_stuck(flow) ? stalled_quota() : moving_quota(flow)) / 2;
  uint32_t limit = TCP_WND_MAX(pcb) < WINDOW_MOST ? TCP_WND_MAX(pcb) : WINDOW_MOST;
  if (share < WINDOW_LEAST) share = WINDOW_LEAST;
  return share < limit ? share : limit;
}

/*
 * The window follows the reader: it doubles when the host has at once taken half of it, up to the
 * flow's share of the memory, and shrinks to the share when memory is tight, by withholding
 * credit, never by moving the announced right edge back (RFC 9293 §3.8.6). lwIP's tcp_recved
 * would announce nothing below its huge MSS, so the announcement is made here, by the guest's
 * MSS (silly window avoidance, RFC 9293 §3.8.6.2.2). True when it is worth an ACK of its own.
 */
static bool open_window(struct flow *flow, uint32_t consumed) {
  struct tcp_pcb *pcb = flow->pcb;
  uint32_t limit = window_limit(flow);
  if (consumed >= flow->window / 2) flow->window *= 2;
  if (flow->window > limit) flow->window = limit;
  uint32_t granted = pcb->rcv_wnd + flow->held;
  if (flow->window > granted) pcb->rcv_wnd += flow->window - granted;
  uint32_t growth = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
  uint32_t least = flow->window / 2 < flow->guest_mss ? flow->window / 2 : flow->guest_mss;
  if ((int32_t)growth < (int32_t)least) return false;
  pcb->rcv_ann_wnd = pcb->rcv_wnd;
  return growth >= flow->window / 4;
}

static bool has_unacknowledged(const struct flow *flow) {
  return flow->acknowledged != flow->pcb->rcv_nxt;
}

/*
 * A request's ACK can ride on its response, which saves a frame, a system call and the guest's
 * work on it. Only for less than two segments (RFC 9293 §3.8.6.3), never when the host is slow or
 * the guest has ended, and only until the end of the next wake-up.
 */
static bool defer_ack(struct flow *flow) {
  struct deferred *list = &deferred[deferring];
  if (flow->spans || flow->fin_from_guest || list->count == MAX_DEFERRED) return false;
  if (flow->pcb->rcv_nxt - flow->acknowledged >= flow->guest_mss) return false;
  if (!flow->ack_deferred) list->ids[list->count++] = flow->id;
  flow->ack_deferred = true;
  return true;
}

void relay_consumed(struct flow *flow, uint32_t length) {
  free_sent(flow, length);
  flow->taken_end += length;
  flow->lags = flow->spans != NULL;
  if (flow->lags) compact(flow);
  if (!flow->pcb) return;
  if (length >= LEAST_PROGRESS) set_taking(flow, true);
  bucket_select(flow->bucket);
  bool update = open_window(flow, length);
  if (update || (has_unacknowledged(flow) && !defer_ack(flow))) tcp_ack_now(flow->pcb);
  tcp_output(flow->pcb);
}

bool relay_flush_acks(void) {
  struct deferred *due = &deferred[1 - deferring];
  for (uint32_t i = 0; i < due->count; i++) {
    struct flow *flow = flow_get(due->ids[i]);
    if (!flow || !flow->ack_deferred) continue;
    flow->ack_deferred = false;
    if (!flow->pcb || !has_unacknowledged(flow)) continue;
    bucket_select(flow->bucket);
    tcp_ack_now(flow->pcb);
    tcp_output(flow->pcb);
  }
  due->count = 0;
  deferring = 1 - deferring;
  return deferred[1 - deferring].count > 0;
}

bool relay_is_over_quota(const struct flow *flow, bool in_order) {
  if (!heap_is_tight()) return false;
  if (!in_order) return is_stuck(flow) || bytes_left() < heap_budget() / 8;
  if (!flow->lags) return false;
  uint32_t stalled = stalled_quota(), moving = flow->takes ? moving_quota(flow) : 0;
  return flow->held > (moving > stalled ? moving : stalled);
}

/* ---- host → guest ---- */

/* Flows with bytes that the guest has not acknowledged, but for those whose guest does not read. */
static uint32_t sending;

static void set_sending(struct flow *flow, bool sends) {
  sending += (uint32_t)sends - (uint32_t)flow->sends;
  flow->sends = sends;
}

/* Has bytes in flight of which the guest acknowledges none, or so few that it holds them for long. */
static bool is_stalled(const struct flow *flow) {
  return !flow->sends && flow->sent_end != flow->acked_end;
}

/*
 * Many flows with a megabyte in flight each leave the cache (design, part 2). When memory is tight a
 * flow has a share of what is left, so that it never ends: a larger one if its guest reads.
 */
static uint32_t send_limit(const struct flow *flow) {
  if (is_stalled(flow)) return heap_is_tight() ? stalled_quota() / 2 : SEND_LEAST;
  uint32_t share = SEND_TOTAL / (sending + 1);
  if (share < SEND_LEAST) share = SEND_LEAST;
  if (!heap_is_tight()) return share;
  uint32_t left = flow->reads ? bytes_left() / 2 / (sending + 1) : 0;
  if (left < stalled_quota()) left = stalled_quota();
  return left < share ? left : share;
}

/* Bytes of the limit that are spent: in flight, or of the blocks they hold where those matter. */
static uint32_t spent(const struct flow *flow) {
  uint32_t in_flight = flow->sent_end - flow->acked_end;
  uint32_t blocks = flow->chunk_count * HEAP_BLOCK_SIZE;
  bool scarce = heap_is_tight() || is_stalled(flow);
  return scarce && blocks > in_flight ? blocks : in_flight;
}

static void count_sent(struct flow *flow, uint32_t length) {
  set_sending(flow, !flow->creeps);
  flow->sent_end += length;
}

void relay_note_progress(struct flow *flow) {
  if (flow->taken_end - flow->taken_at_tick < LEAST_PROGRESS) set_taking(flow, false);
  flow->taken_at_tick = flow->taken_end;
  bool in_flight = flow->sent_end != flow->acked_end;
  bool progressed = flow->acked_end - flow->acked_at_tick >= LEAST_PROGRESS;
  flow->reads = progressed || (flow->reads && !in_flight);
  flow->creeps = in_flight && !progressed;
  if (flow->creeps) set_sending(flow, false);
  flow->acked_at_tick = flow->acked_end;
}

/* The ACK of a FIN counts one byte that was never sent. */
static void count_acknowledged(struct flow *flow, uint32_t length) {
  uint32_t in_flight = flow->sent_end - flow->acked_end;
  if (in_flight == 0) return;
  set_sending(flow, length < in_flight && !flow->creeps);
  flow->acked_end += length < in_flight ? length : in_flight;
}

int32_t relay_reserve(struct flow *flow, uint8_t **where) {
  struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || flow->state != FLOW_OPEN || flow->fin_to_guest) return 0;
  uint32_t used = spent(flow), limit = send_limit(flow);
  if (flow->last_chunk && flow->last_chunk->written < flow->last_chunk->length) return 0;
  /* With nothing in flight nothing would tell when there is room. */
  if (used == 0 && limit == 0) return -1;
  if (used >= limit || pcb->snd_queuelen > TCP_SND_QUEUELEN - 16) return 0;
  /* Whether there is a spare or not: what is copied from it takes memory, too. */
  if (heap_blocks_free() <= BLOCKS_IN_RESERVE) return -1;
  if (!spare) spare = heap_block();
  if (!spare) return -1;
  uint32_t room = tcp_sndbuf(pcb), capacity = relay_chunk_capacity();
  /* Small enough for small windows, and a share of less than a block is not to hold one. */
  if (heap_is_tight() && !flow->reads) capacity = COPY_DOWN_LIMIT;
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

void relay_push(struct flow *flow) {
  struct chunk *chunk = flow->last_chunk;
  if (!chunk || !flow->pcb || chunk->written == chunk->length) return;
  bucket_select(flow->bucket);
  uint16_t length = (uint16_t)(chunk->length - chunk->written);
  if (tcp_write(flow->pcb, chunk->data + chunk->written, length, 0) != ERR_OK) return;
  chunk->written += length;
  count_sent(flow, length);
  chunk->end = flow->sent_end;
  if (flow->fin_to_guest) tcp_shutdown(flow->pcb, 0, 1);
  tcp_output(flow->pcb);
}

void relay_finish(struct flow *flow) {
  if (!flow->pcb || flow->fin_to_guest) return;
  flow->fin_to_guest = true;
  if (flow->last_chunk && flow->last_chunk->written < flow->last_chunk->length) return;
  bucket_select(flow->bucket);
  tcp_shutdown(flow->pcb, 0, 1);
}

void relay_commit(struct flow *flow, uint32_t length) {
  if (!flow->pcb || !spare || length == 0 || length > relay_chunk_capacity()) return;
  bucket_select(flow->bucket);
  heap_may_copy = true;
  bool copied = length <= COPY_DOWN_LIMIT &&
                tcp_write(flow->pcb, spare->data, (uint16_t)length, TCP_WRITE_FLAG_COPY) == ERR_OK;
  heap_may_copy = false;
  if (copied) {
    count_sent(flow, length);
    tcp_output(flow->pcb);
    return;
  }
  lend_spare(flow, length);
  relay_push(flow);
}

bool relay_narrow(struct flow *flow, uint32_t sequence, uint32_t mtu) {
  struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || flow->state != FLOW_OPEN) return false;
  if (sequence - pcb->lastack >= pcb->snd_nxt - pcb->lastack) return false;
  bool v6 = IP_IS_V6(&flow->guest);
  uint32_t least = v6 ? LEAST_MTU_V6 : LEAST_MTU_V4;
  uint16_t mss = (uint16_t)((mtu < least ? least : mtu) - (v6 ? 60 : 40));
  if (mss >= flow->guest_mss) return true;
  flow->guest_mss = mss;
  if (pcb->mss > mss && !stack_offload()) pcb->mss = mss;
  bucket_select(flow->bucket);
  if (tcp_rexmit(pcb) == ERR_OK) tcp_output(pcb);
  return true;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t length) {
  struct flow *flow = arg;
  (void)pcb;
  if (!flow) return ERR_OK;
  count_acknowledged(flow, length);
  struct chunk *chunk;
  while ((chunk = flow->chunks) && chunk->written == chunk->length &&
         (int32_t)(flow->acked_end - chunk->end) >= 0) {
    flow->chunks = chunk->next;
    if (!flow->chunks) flow->last_chunk = NULL;
    flow->chunk_count--;
    heap_free(chunk);
  }
  flow_notify(flow, ABI_EVENT_SPACE);
  return ERR_OK;
}

/* ---- life ---- */

static void on_error(void *arg, err_t error) {
  struct flow *flow = arg;
  if (!flow) return;
  flow->pcb = NULL;
  flow_notify(flow, error == ERR_CLSD ? ABI_EVENT_CLOSED : ABI_EVENT_RESET);
  flow_detach(flow);
}

/*
 * lwIP has learned the guest's MSS: that becomes the segment size of the offload, and lwIP itself
 * may write superframes. Without offload it stays what the wire can carry.
 */
err_t relay_on_open(void *arg, struct tcp_pcb *pcb, err_t error) {
  struct flow *flow = arg;
  if (!flow || !pcb || error != ERR_OK) return ERR_VAL;
  /* lwIP takes the MSS of a repeated SYN as it is, beyond what the link carries. */
  flow->guest_mss = pcb->mss = tcp_eff_send_mss(pcb->mss, &flow->peer, &flow->guest);
  if (stack_offload()) pcb->mss = IP_IS_V6(&flow->peer) ? MSS_V6 : MSS_V4;
  /*
   * tcp_write cuts at half the largest window so far, and at the MSS while that is 0. Were the cut to
   * shrink when a first small window comes, its room in the last segment would be below zero and the
   * segment's 16-bit length overflow: it only grows from here.
   */
  if (pcb->snd_wnd_max < 2u * flow->guest_mss) pcb->snd_wnd_max = 2u * flow->guest_mss;
  /* Below one of its segments a congestion window would never let the first one go. */
  pcb->cwnd = 2u * pcb->mss;
  tcp_nagle_disable(pcb);
  flow->state = FLOW_OPEN;
  flow->window = WINDOW_START;
  /* What the unscaled window of the SYN|ACK promised, whatever lwIP thinks it announced. */
  if (pcb->rcv_wnd > WINDOW_START) pcb->rcv_wnd = WINDOW_START;
  pcb->rcv_ann_wnd = pcb->rcv_wnd;
  pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_wnd;
  flow_notify(flow, ABI_EVENT_OPEN | ABI_EVENT_SPACE);
  return ERR_OK;
}

uint32_t relay_window(const struct flow *flow) {
  uint32_t window = flow->pcb->rcv_wnd;
  return flow->state == FLOW_OPEN || window < WINDOW_START ? window : WINDOW_START;
}

void relay_bind(struct flow *flow, struct tcp_pcb *pcb) {
  flow->pcb = pcb;
  flow->state = FLOW_OPENING;
  tcp_arg(pcb, flow);
  tcp_recv(pcb, on_receive);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
}

/*
 * What came with the last FIN while memory was short: lwIP has acknowledged it, and forgets it with
 * the connection, memory and all. False when there is still no room.
 */
static bool take_refused(struct flow *flow) {
  struct pbuf *refused = flow->pcb->refused_data;
  flow->pcb->refused_data = NULL;
  if (!refused || take_segment(flow, refused) == ERR_OK) return true;
  pbuf_free(refused);
  return false;
}

void relay_settle(struct flow *flow) {
  if (!flow->pcb || flow->pcb->state != TIME_WAIT) return;
  flow_notify(flow, take_refused(flow) ? ABI_EVENT_CLOSED : ABI_EVENT_RESET);
  flow_detach(flow);
}

void relay_free_spans(struct flow *flow) {
  while (flow->spans) {
    struct span *next = flow->spans->next;
    free_span(flow->spans);
    flow->spans = next;
  }
  flow->last_span = NULL;
  flow->held = 0;
}

void relay_detach(struct flow *flow) {
  set_taking(flow, false);
  count_acknowledged(flow, flow->sent_end - flow->acked_end);
  while (flow->chunks) {
    struct chunk *next = flow->chunks->next;
    heap_free(flow->chunks);
    flow->chunks = next;
  }
  flow->last_chunk = NULL;
  flow->chunk_count = 0;
}
