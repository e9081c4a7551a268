#include "flow.h"

#include <string.h>

#include "heap.h"
#include "random.h"

static struct flow *buckets[BUCKETS];
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

/* Keyed, so that a guest cannot put all its connections into one bucket. */
uint16_t bucket_of(const struct tuple *tuple) {
  uint32_t hash = mix_address(mix_address(hash_key, &tuple->guest), &tuple->peer);
  hash = mix(hash, (uint32_t)tuple->guest_port << 16 | tuple->peer_port);
  return hash % BUCKETS;
}

bool flow_has_tuple(const struct flow *flow, const struct tuple *tuple) {
  return flow->guest_port == tuple->guest_port && flow->peer_port == tuple->peer_port &&
         ip_addr_eq(&flow->guest, &tuple->guest) && ip_addr_eq(&flow->peer, &tuple->peer);
}

struct flow *flow_find(uint16_t bucket, const struct tuple *tuple) {
  for (struct flow *flow = buckets[bucket]; flow; flow = flow->next_in_bucket) {
    if (flow_has_tuple(flow, tuple)) return flow;
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
  flow->next_in_bucket = buckets[bucket];
  buckets[bucket] = flow;
  table[flow->id] = flow;
  count++;
  return flow;
}

struct flow *flow_get(uint32_t id) { return id < ABI_MAX_FLOWS ? table[id] : NULL; }

void flow_unlink(struct flow *flow) {
  struct flow **link = &buckets[flow->bucket];
  while (*link && *link != flow) link = &(*link)->next_in_bucket;
  if (*link) *link = flow->next_in_bucket;
}

static void unlink_dirty(struct flow *flow) {
  struct flow *previous = NULL;
  for (struct flow *at = dirty_head; at != flow; at = at->next_dirty) previous = at;
  if (previous) previous->next_dirty = flow->next_dirty;
  else dirty_head = flow->next_dirty;
  if (dirty_tail == flow) dirty_tail = previous;
}

void flow_free(struct flow *flow) {
  if (flow->dirty) unlink_dirty(flow);
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
