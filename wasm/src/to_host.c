#include "to_host.h"

#include "pcbs.h"
#include "shares.h"
#include "spans.h"

#define WINDOW_START 65535
#define WINDOW_LEAST 16384
#define WINDOW_MOST (1024 * 1024)

/* Flows whose ACK is deferred, in two generations: in this wake-up, and in the one before. */
#define MAX_DEFERRED 1024
static struct deferred {
  uint32_t count;
  uint16_t ids[MAX_DEFERRED];
} deferred[2];
static int deferring;

void to_host_open(struct flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  flow->window = WINDOW_START;
  /*
   * The window of a SYN|ACK is not scaled, which lwIP does not take into account in its own
   * figures.
   */
  if (pcb->rcv_wnd > WINDOW_START) pcb->rcv_wnd = WINDOW_START;
  pcb->rcv_ann_wnd = pcb->rcv_wnd;
  pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_wnd;
}

uint32_t to_host_window(const struct flow *flow) {
  uint32_t window = flow->pcb->rcv_wnd;
  return flow->state == FLOW_OPEN || window < WINDOW_START ? window : WINDOW_START;
}

static uint32_t window_limit(const struct flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  uint32_t limit = TCP_WND_MAX(pcb) < WINDOW_MOST ? TCP_WND_MAX(pcb) : WINDOW_MOST;
  uint32_t share = shares_window(flow);
  if (share < WINDOW_LEAST) share = WINDOW_LEAST;
  return share < limit ? share : limit;
}

/*
 * The window follows the host: it doubles when the host has taken half of it at once, up to the
 * flow's share of the memory, and shrinks to the share when memory is tight, by giving no new
 * credit, never by moving the announced right edge back (RFC 9293 §3.8.6). lwIP's tcp_recved would
 * announce nothing below its large MSS, so the window is announced here, by the guest's MSS (silly
 * window avoidance, RFC 9293 §3.8.6.2.2). True when the growth is worth an ACK of its own.
 */
static bool open_window(struct flow *flow, uint32_t consumed) {
  struct tcp_pcb *pcb = flow->pcb;
  uint32_t limit = window_limit(flow);
  if (consumed >= flow->window / 2) flow->window *= 2;
  if (flow->window > limit) flow->window = limit;
  uint32_t granted = pcb->rcv_wnd + flow->backlog;
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
 * The ACK of a request can ride on the response, which saves a frame, a system call and the guest's
 * work on it. Only for less than a segment of data (RFC 9293 §3.8.6.3 allows less than two), never
 * when the host is slow or the guest has sent FIN, and only until the end of the next wake-up.
 */
static bool defer_ack(struct flow *flow) {
  struct deferred *list = &deferred[deferring];
  if (flow->spans || flow->fin_from_guest || list->count == MAX_DEFERRED) return false;
  if (flow->pcb->rcv_nxt - flow->acknowledged >= flow->guest_mss) return false;
  if (!flow->ack_deferred) list->ids[list->count++] = flow->id;
  flow->ack_deferred = true;
  return true;
}

void to_host_consumed(struct flow *flow, uint32_t length) {
  spans_remove(flow, length);
  if (flow->spans) spans_compact(flow);
  if (!flow->pcb) return;
  shares_consumed(flow, length);
  pcbs_select(flow->bucket);
  bool update = open_window(flow, length);
  if (update || (has_unacknowledged(flow) && !defer_ack(flow))) tcp_ack_now(flow->pcb);
  tcp_output(flow->pcb);
}

bool to_host_flush_acks(void) {
  struct deferred *due = &deferred[1 - deferring];
  for (uint32_t i = 0; i < due->count; i++) {
    struct flow *flow = flow_get(due->ids[i]);
    if (!flow || !flow->ack_deferred) continue;
    flow->ack_deferred = false;
    if (!flow->pcb || !has_unacknowledged(flow)) continue;
    pcbs_select(flow->bucket);
    tcp_ack_now(flow->pcb);
    tcp_output(flow->pcb);
  }
  due->count = 0;
  deferring = 1 - deferring;
  return deferred[1 - deferring].count > 0;
}
