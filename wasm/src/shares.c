#include "shares.h"

#include "heap.h"

/* Bytes that may be in flight to one guest in all, and at least for each flow. */
#define SEND_TOTAL (2 * 1024 * 1024)
#define SEND_LEAST (128 * 1024)

/* An end that takes fewer bytes than this between two ticks makes no progress. */
#define LEAST_PROGRESS 4096

/* How many flows have the flag set. */
static uint32_t hosts_progressing, guests_acking;

static void set_host_progressing(struct flow *flow, bool progressing) {
  hosts_progressing += (uint32_t)progressing - (uint32_t)flow->host_progressing;
  flow->host_progressing = progressing;
}

static void set_guest_acking(struct flow *flow, bool acking) {
  guests_acking += (uint32_t)acking - (uint32_t)flow->guest_acking;
  flow->guest_acking = acking;
}

static uint32_t bytes_left(void) { return heap_blocks_free() * HEAP_BLOCK_SIZE; }

/*
 * What a flow that does not keep up may hold when memory is tight: the same for all, and ever less
 * as memory ends, so that stalled flows never take the last of it from those that move.
 */
static uint32_t stalled_quota(void) { return 2 * bytes_left() / (flows_count() + 1); }

/* ---- guest to host ---- */

static bool is_host_stalled(const struct flow *flow) {
  return flow->host_backlogged && !flow->host_progressing;
}

/*
 * The share of a flow that moves: of what is left together with what it already holds. The sum of
 * all shares fits, so that nothing is dropped when all hosts stop at once.
 */
static uint32_t moving_quota(const struct flow *flow) {
  return (bytes_left() + flow->backlog) / (hosts_progressing + 1);
}

void shares_consumed(struct flow *flow, uint32_t length) {
  flow->consumed_end += length;
  flow->host_backlogged = flow->spans != NULL;
  if (length >= LEAST_PROGRESS) set_host_progressing(flow, true);
}

/*
 * Half of the share: the share shrinks while more flows begin to move, and what was announced must
 * still fit.
 */
uint32_t shares_window(const struct flow *flow) {
  bool stalled = heap_is_tight() && is_host_stalled(flow);
  return (stalled ? stalled_quota() : moving_quota(flow)) / 2;
}

bool shares_is_over_quota(const struct flow *flow, bool in_order) {
  if (!heap_is_tight()) return false;
  if (!in_order) return is_host_stalled(flow) || bytes_left() < heap_budget() / 8;
  if (!flow->host_backlogged) return false;
  uint32_t stalled = stalled_quota(), moving = flow->host_progressing ? moving_quota(flow) : 0;
  return flow->backlog > (moving > stalled ? moving : stalled);
}

/* ---- host to guest ---- */

/*
 * Bytes are in flight, and the guest acknowledges none of them, or so few that it holds them for
 * long.
 */
static bool is_guest_stalled(const struct flow *flow) {
  return !flow->guest_acking && flow->sent_end != flow->acked_end;
}

void shares_sent(struct flow *flow, uint32_t length) {
  set_guest_acking(flow, !flow->guest_slow);
  flow->sent_end += length;
}

/* The ACK of a FIN counts one byte that was never sent. */
void shares_acknowledged(struct flow *flow, uint32_t length) {
  uint32_t in_flight = flow->sent_end - flow->acked_end;
  if (in_flight == 0) return;
  set_guest_acking(flow, length < in_flight && !flow->guest_slow);
  flow->acked_end += length < in_flight ? length : in_flight;
}

/*
 * A megabyte in flight for each of many flows does not fit into the processor's cache, hence
 * SEND_TOTAL. When memory is tight the limit is a share of what is left, so that memory never ends:
 * a larger one for a guest that makes progress.
 */
uint32_t shares_send_limit(const struct flow *flow) {
  if (is_guest_stalled(flow)) return heap_is_tight() ? stalled_quota() / 2 : SEND_LEAST;
  uint32_t share = SEND_TOTAL / (guests_acking + 1);
  if (share < SEND_LEAST) share = SEND_LEAST;
  if (!heap_is_tight()) return share;
  uint32_t left = flow->guest_progressing ? bytes_left() / 2 / (guests_acking + 1) : 0;
  if (left < stalled_quota()) left = stalled_quota();
  return left < share ? left : share;
}

/* Bytes in flight; where memory matters, those of the blocks that they hold. */
uint32_t shares_send_used(const struct flow *flow) {
  uint32_t in_flight = flow->sent_end - flow->acked_end;
  uint32_t blocks = flow->chunk_count * HEAP_BLOCK_SIZE;
  bool scarce = heap_is_tight() || is_guest_stalled(flow);
  return scarce && blocks > in_flight ? blocks : in_flight;
}

/* ---- both ---- */

void shares_tick(struct flow *flow) {
  if (flow->consumed_end - flow->consumed_at_tick < LEAST_PROGRESS) set_host_progressing(flow, false);
  flow->consumed_at_tick = flow->consumed_end;
  bool in_flight = flow->sent_end != flow->acked_end;
  bool progressed = flow->acked_end - flow->acked_at_tick >= LEAST_PROGRESS;
  flow->guest_progressing = progressed || (flow->guest_progressing && !in_flight);
  flow->guest_slow = in_flight && !progressed;
  if (flow->guest_slow) set_guest_acking(flow, false);
  flow->acked_at_tick = flow->acked_end;
}

void shares_leave(struct flow *flow) {
  set_host_progressing(flow, false);
  shares_acknowledged(flow, flow->sent_end - flow->acked_end);
}
