#include "flow.h"

#include <string.h>

#include "heap.h"
#include "platform.h"
#include "relay.h"

#define BUCKETS 1024

static struct flow *flow_buckets[BUCKETS];
static struct tcp_pcb *active_buckets[BUCKETS], *time_wait_buckets[BUCKETS];
static uint16_t selected;
static bool joined;

static struct flow *table[ABI_MAX_FLOWS];
static uint16_t free_ids[ABI_MAX_FLOWS];
static uint32_t free_id_count, fresh_id, count;
static struct flow *dirty_head, *dirty_tail;
static uint32_t hash_key;

void flows_init(void) { hash_key = random_u32(); }

uint32_t flows_count(void) { return count; }

static uint32_t mix(uint32_t hash, uint32_t word) {
  hash = (hash ^ word) * 2654435761u;
  return hash ^ (hash >> 15);
}

static uint32_t mix_address(uint32_t hash, const ip_addr_t *address) {
  if (!IP_IS_V6(address)) return mix(hash, ip_2_ip4(address)->addr);
  for (int i = 0; i < 4; i++) hash = mix(hash, ip_2_ip6(address)->addr[i]);
  return hash;
}

/* Keyed, so that a guest cannot aim its connections at one bucket. */
uint16_t bucket_of(const struct tuple *tuple) {
  uint32_t hash = mix_address(mix_address(hash_key, &tuple->guest), &tuple->peer);
  hash = mix(hash, (uint32_t)tuple->guest_port << 16 | tuple->peer_port);
  return hash % BUCKETS;
}

static uint16_t bucket_of_pcb(const struct tcp_pcb *pcb) {
  struct tuple tuple = {pcb->remote_ip, pcb->local_ip, pcb->remote_port, pcb->local_port};
  return bucket_of(&tuple);
}

struct flow *flow_find(uint16_t bucket, const struct tuple *tuple) {
  for (struct flow *flow = flow_buckets[bucket]; flow; flow = flow->next_in_bucket) {
    if (flow->guest_port == tuple->guest_port && flow->peer_port == tuple->peer_port &&
        ip_addr_eq(&flow->guest, &tuple->guest) && ip_addr_eq(&flow->peer, &tuple->peer)) {
      return flow;
    }
  }
  return NULL;
}

struct flow *flow_create(uint16_t bucket, const struct tuple *tuple) {
  if (free_id_count == 0 && fresh_id == ABI_MAX_FLOWS) return NULL;
  struct flow *flow = heap_calloc(1, sizeof *flow);
  if (!flow) return NULL;
  flow->guest = tuple->guest;
  flow->peer = tuple->peer;
  flow->guest_port = tuple->guest_port;
  flow->peer_port = tuple->peer_port;
  flow->bucket = bucket;
  flow->id = free_id_count > 0 ? free_ids[--free_id_count] : (uint16_t)fresh_id++;
  flow->next_in_bucket = flow_buckets[bucket];
  flow_buckets[bucket] = flow;
  table[flow->id] = flow;
  count++;
  return flow;
}

struct flow *flow_get(uint32_t id) { return id < ABI_MAX_FLOWS ? table[id] : NULL; }

static void unlink_from_bucket(struct flow *flow) {
  struct flow **link = &flow_buckets[flow->bucket];
  while (*link && *link != flow) link = &(*link)->next_in_bucket;
  if (*link) *link = flow->next_in_bucket;
}

void flow_detach(struct flow *flow) {
  if (flow->state == FLOW_DETACHED) return;
  if (flow->pcb) tcp_arg(flow->pcb, NULL);
  flow->pcb = NULL;
  flow->state = FLOW_DETACHED;
  unlink_from_bucket(flow);
  relay_detach(flow);
  heap_free(flow->syn);
  flow->syn = NULL;
}

static void unlink_dirty(struct flow *flow) {
  struct flow *previous = NULL;
  for (struct flow *at = dirty_head; at != flow; at = at->next_dirty) previous = at;
  if (previous) previous->next_dirty = flow->next_dirty;
  else dirty_head = flow->next_dirty;
  if (dirty_tail == flow) dirty_tail = previous;
}

void flow_release(struct flow *flow) {
  if (flow->dirty) unlink_dirty(flow);
  relay_free_spans(flow);
  table[flow->id] = NULL;
  free_ids[free_id_count++] = flow->id;
  count--;
  heap_free(flow);
}

void flow_notify(struct flow *flow, uint8_t events) {
  flow->events |= events;
  if (flow->dirty) return;
  flow->dirty = true;
  flow->next_dirty = NULL;
  if (dirty_tail) dirty_tail->next_dirty = flow;
  else dirty_head = flow;
  dirty_tail = flow;
}

uint32_t flows_take_events(uint32_t *pairs, uint32_t capacity) {
  uint32_t taken = 0;
  for (; dirty_head && taken < capacity; taken++) {
    struct flow *flow = dirty_head;
    dirty_head = flow->next_dirty;
    if (!dirty_head) dirty_tail = NULL;
    pairs[2 * taken] = flow->id;
    pairs[2 * taken + 1] = flow->events;
    flow->dirty = false;
    flow->events = 0;
  }
  return taken;
}

void bucket_select(uint16_t bucket) {
  if (joined || bucket == selected) return;
  active_buckets[selected] = tcp_active_pcbs;
  time_wait_buckets[selected] = tcp_tw_pcbs;
  selected = bucket;
  tcp_active_pcbs = active_buckets[bucket];
  tcp_tw_pcbs = time_wait_buckets[bucket];
}

static void append(struct tcp_pcb **list, struct tcp_pcb *more) {
  while (more) {
    struct tcp_pcb *next = more->next;
    more->next = *list;
    *list = more;
    more = next;
  }
}

/*
 * An established connection with nothing in flight either way has no timer to run, once a tick has seen
 * that its host takes nothing.
 */
static bool is_quiet(const struct tcp_pcb *pcb) {
  const struct flow *flow = pcb->callback_arg;
  if (!flow || flow->takes) return false;
  if (flow->last_chunk && flow->last_chunk->written < flow->last_chunk->length) return false;
  return (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT) && !pcb->unacked &&
         !pcb->unsent && !pcb->ooseq && !pcb->refused_data &&
         !(pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND));
}

/* Moves those with a timer to run to `busy`; what stays is not looked at again in this tick. */
static struct tcp_pcb *take_busy(struct tcp_pcb *list, struct tcp_pcb **busy) {
  struct tcp_pcb *quiet = NULL;
  while (list) {
    struct tcp_pcb *next = list->next, **to = is_quiet(list) ? &quiet : busy;
    list->next = *to;
    *to = list;
    list = next;
  }
  return quiet;
}

/* One list of each kind for lwIP's timers: thousands of idle connections cost one look each. */
static void join(void) {
  struct tcp_pcb *busy = NULL;
  bucket_select(0);
  active_buckets[0] = tcp_active_pcbs;
  time_wait_buckets[0] = NULL;
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    active_buckets[bucket] = take_busy(active_buckets[bucket], &busy);
    if (bucket > 0) append(&tcp_tw_pcbs, time_wait_buckets[bucket]);
    time_wait_buckets[bucket] = NULL;
  }
  tcp_active_pcbs = busy;
  joined = true;
}

static void split(struct tcp_pcb *list, struct tcp_pcb *buckets[BUCKETS]) {
  while (list) {
    struct tcp_pcb *next = list->next;
    struct flow *flow = list->callback_arg;
    uint16_t bucket = flow ? flow->bucket : bucket_of_pcb(list);
    list->next = buckets[bucket];
    buckets[bucket] = list;
    list = next;
  }
}

/* Hands lwIP what it had no memory for, and says whether any connection is not quiet. */
static bool retry_and_look(void) {
  bool needed = tcp_tw_pcbs != NULL;
  for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
    struct flow *flow = pcb->callback_arg;
    if (flow) {
      relay_push(flow);
      relay_note_progress(flow);
    }
    needed |= !is_quiet(pcb);
  }
  return needed;
}

bool buckets_tick(void) {
  join();
  tcp_tmr();
  bool needed = retry_and_look();
  struct tcp_pcb *active = tcp_active_pcbs, *time_wait = tcp_tw_pcbs;
  joined = false;
  split(active, active_buckets);
  split(time_wait, time_wait_buckets);
  selected = 0;
  tcp_active_pcbs = active_buckets[0];
  tcp_tw_pcbs = time_wait_buckets[0];
  return needed;
}

void bucket_forget_time_wait(uint16_t bucket, const struct tuple *tuple) {
  bucket_select(bucket);
  for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next) {
    if (pcb->remote_port != tuple->guest_port || pcb->local_port != tuple->peer_port) continue;
    if (!ip_addr_eq(&pcb->remote_ip, &tuple->guest) || !ip_addr_eq(&pcb->local_ip, &tuple->peer))
      continue;
    tcp_pcb_remove(&tcp_tw_pcbs, pcb);
    tcp_free(pcb);
    return;
  }
}
