#include "pcbs.h"

static struct tcp_pcb *active_buckets[BUCKETS], *time_wait_buckets[BUCKETS];
static uint16_t selected;
static bool joined;

static uint16_t bucket_of_pcb(const struct tcp_pcb *pcb) {
  struct tuple tuple = {pcb->remote_ip, pcb->local_ip, pcb->remote_port, pcb->local_port};
  return bucket_of(&tuple);
}

void pcbs_select(uint16_t bucket) {
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
 * An established connection with nothing in flight either way has no timer to run. Its next tick
 * comes nevertheless while the host counts as progressing: only a tick finds that it takes nothing
 * any more.
 */
bool pcb_is_quiet(const struct tcp_pcb *pcb) {
  const struct flow *flow = pcb->callback_arg;
  if (!flow || flow->host_progressing) return false;
  if (flow_has_unwritten(flow)) return false;
  return (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT) && !pcb->unacked &&
         !pcb->unsent && !pcb->ooseq && !pcb->refused_data &&
         !(pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND));
}

/* Moves the PCBs with a timer to run to `busy`; returns the others, which this tick leaves out. */
static struct tcp_pcb *take_busy(struct tcp_pcb *list, struct tcp_pcb **busy) {
  struct tcp_pcb *quiet = NULL;
  while (list) {
    struct tcp_pcb *next = list->next, **to = pcb_is_quiet(list) ? &quiet : busy;
    list->next = *to;
    *to = list;
    list = next;
  }
  return quiet;
}

void pcbs_join(void) {
  struct tcp_pcb *busy = NULL;
  pcbs_select(0);
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

static void distribute(struct tcp_pcb *list, struct tcp_pcb *buckets[BUCKETS]) {
  while (list) {
    struct tcp_pcb *next = list->next;
    struct flow *flow = list->callback_arg;
    uint16_t bucket = flow ? flow->bucket : bucket_of_pcb(list);
    list->next = buckets[bucket];
    buckets[bucket] = list;
    list = next;
  }
}

void pcbs_split(void) {
  struct tcp_pcb *active = tcp_active_pcbs, *time_wait = tcp_tw_pcbs;
  joined = false;
  distribute(active, active_buckets);
  distribute(time_wait, time_wait_buckets);
  selected = 0;
  tcp_active_pcbs = active_buckets[0];
  tcp_tw_pcbs = time_wait_buckets[0];
}

void pcbs_forget_time_wait(uint16_t bucket, const struct tuple *tuple) {
  pcbs_select(bucket);
  for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next) {
    if (pcb->remote_port != tuple->guest_port || pcb->local_port != tuple->peer_port) continue;
    if (!ip_addr_eq(&pcb->remote_ip, &tuple->guest) || !ip_addr_eq(&pcb->local_ip, &tuple->peer))
      continue;
    tcp_pcb_remove(&tcp_tw_pcbs, pcb);
    tcp_free(pcb);
    return;
  }
}
