#include "relay.h"

#include "heap.h"
#include "pcbs.h"
#include "shares.h"
#include "spans.h"
#include "to_guest.h"
#include "to_host.h"

/*
 * ---- lwIP's callbacks; they come without a flow when TypeScript has given the connection up ----
 */

/*
 * input.c drops segments while memory is short, so that spans_append fails only if the budget ends
 * within one segment. lwIP then keeps the data as refused and offers it again.
 */
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
  if (!spans_append(flow, segment)) return ERR_MEM;
  /* to_host_consumed sends one ACK for each flow and batch. */
  tcp_clear_flags(pcb, TF_ACK_NOW | TF_ACK_DELAY);
  flow_notify(flow, ABI_EVENT_DATA);
  return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t length) {
  struct flow *flow = arg;
  (void)pcb;
  if (!flow) return ERR_OK;
  to_guest_acknowledged(flow, length);
  flow_notify(flow, ABI_EVENT_SPACE);
  return ERR_OK;
}

/* lwIP has freed the PCB. */
static void on_error(void *arg, err_t error) {
  struct flow *flow = arg;
  if (!flow) return;
  flow->pcb = NULL;
  flow_notify(flow, error == ERR_CLSD ? ABI_EVENT_CLOSED : ABI_EVENT_RESET);
  relay_detach(flow);
}

err_t relay_on_open(void *arg, struct tcp_pcb *pcb, err_t error) {
  struct flow *flow = arg;
  if (!flow || !pcb || error != ERR_OK) return ERR_VAL;
  to_guest_open(flow);
  to_host_open(flow);
  flow->state = FLOW_OPEN;
  flow_notify(flow, ABI_EVENT_OPEN | ABI_EVENT_SPACE);
  return ERR_OK;
}

void relay_bind(struct flow *flow, struct tcp_pcb *pcb) {
  flow->pcb = pcb;
  flow->state = FLOW_OPENING;
  tcp_arg(pcb, flow);
  tcp_recv(pcb, on_receive);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
}

/* ---- the end ---- */

/*
 * Takes data that came with the last FIN while memory was short: lwIP has acknowledged it, and
 * would free it with the connection. False when there is still no memory: the data is lost.
 */
static bool take_refused(struct flow *flow) {
  struct pbuf *refused = flow->pcb->refused_data;
  flow->pcb->refused_data = NULL;
  if (!refused || spans_append(flow, refused)) return true;
  pbuf_free(refused);
  return false;
}

void relay_settle(struct flow *flow) {
  if (!flow->pcb || flow->pcb->state != TIME_WAIT) return;
  flow_notify(flow, take_refused(flow) ? ABI_EVENT_CLOSED : ABI_EVENT_RESET);
  relay_detach(flow);
}

void relay_reset(struct flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  if (pcb) {
    pcbs_select(flow->bucket);
    tcp_arg(pcb, NULL);
    tcp_abort(pcb);
    flow->pcb = NULL;
  }
  relay_detach(flow);
}

/* Not inlined into its callers: it is large, and none of them is on the hot path. */
__attribute__((noinline)) void relay_detach(struct flow *flow) {
  if (flow->state == FLOW_DETACHED) return;
  if (flow->pcb) tcp_arg(flow->pcb, NULL);
  flow->pcb = NULL;
  flow->state = FLOW_DETACHED;
  flow_unlink(flow);
  shares_leave(flow);
  to_guest_free(flow);
  heap_free(flow->syn);
  flow->syn = NULL;
}

/* The reset comes first: otherwise lwIP would send again from blocks that are freed here. */
void relay_release(struct flow *flow) {
  relay_reset(flow);
  spans_free(flow);
  flow_free(flow);
}

/* ---- time ---- */

/* Gives lwIP what it had no memory for before. True when any connection has a timer to run. */
static bool retry_and_look(void) {
  bool needed = tcp_tw_pcbs != NULL;
  for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
    struct flow *flow = pcb->callback_arg;
    if (flow) {
      to_guest_push(flow);
      shares_tick(flow);
    }
    needed |= !pcb_is_quiet(pcb);
  }
  return needed;
}

bool relay_tick(void) {
  pcbs_join();
  tcp_tmr();
  bool needed = retry_and_look();
  pcbs_split();
  return needed;
}
