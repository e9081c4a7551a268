/*
 * lwIP's connections (PCBs) in hash buckets. lwIP searches its list of PCBs from the head, for
 * every segment; so the PCBs of a bucket of flows have lists of their own, which are swapped into
 * lwIP's globals before it runs.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

/* Swaps lwIP's lists to those of a bucket; does nothing while they are joined. */
void pcbs_select(uint16_t bucket);

/*
 * Joins the lists of all buckets for lwIP's timers, except for connections that have no timer to
 * run: thousands of idle ones cost one look each.
 */
void pcbs_join(void);
/* Distributes the joined lists to the buckets again. */
void pcbs_split(void);
/* Whether the connection has no timer to run. */
bool pcb_is_quiet(const struct tcp_pcb *pcb);

/* Frees a PCB in TIME_WAIT with this tuple: the guest uses the port again (RFC 6191). */
void pcbs_forget_time_wait(uint16_t bucket, const struct tuple *tuple);
