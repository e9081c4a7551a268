/*
 * The IP layer that lwIP's TCP is linked against: takes segments to lwIP, and writes IP and
 * Ethernet headers in front of what lwIP sends, for both families in one path. There is one link,
 * and all addresses are on it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct link_config {
  uint16_t mtu;   /* of the guest's interface, bytes of IP */
  bool offload;   /* the TAP has a virtio header: the kernel checksums and segments */
  uint8_t mac[6]; /* the gateway's */
};

/* Frames given to the TAP since the start. */
extern struct link_counters {
  uint32_t frames;
  uint32_t segmented; /* those that the kernel cuts into segments */
  uint32_t errors;    /* those that the TAP did not take */
} link_counters;

void link_init(const struct link_config *config);
bool link_offload(void);

/* Whom lwIP's next answers go to that belong to no flow: an Ethernet address. */
void link_answer_to(const uint8_t *mac);

/*
 * For link_input alone, which is inline so that tcp_input has two callers: called once it would be
 * inlined with all that it calls, and the module 1 KB larger.
 */
extern struct netif link_interface;
void link_enter(uint8_t *ip, const struct tuple *tuple, struct flow *flow);
void link_leave(void);

/*
 * Gives lwIP a segment, which it frees. The segment's IP header is at `ip`, its flow is `flow` or,
 * where it has none, NULL. The flow's bucket must be selected.
 */
static inline void link_input(struct pbuf *segment, uint8_t *ip, const struct tuple *tuple,
                              struct flow *flow) {
  link_enter(ip, tuple, flow);
  tcp_input(segment, &link_interface);
  link_leave();
}

/* Answers a SYN with `sequence` by RST, as if the flow's peer had. */
void link_refuse(const struct flow *flow, uint32_t sequence);
