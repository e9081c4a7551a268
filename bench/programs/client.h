/*
 * The client's workloads. Each first makes its connections and prints "ready", waits for a line on
 * standard input so that the bench can read the helper's counters in between, then runs for the
 * given time and prints one JSON object:
 *   {"count": operations, "errors": n, "seconds": s, "p50": us, "p99": us}
 */
#pragma once
#include "net.h"

/* One byte there and back on one connection, one at a time. */
void run_transactions(const struct endpoint *server, double seconds);

enum exchange { EXCHANGE_NOTHING, EXCHANGE_BYTE };

/* connect, perhaps a byte there and back and an orderly close, again and again. Without a byte the
 * connection is reset, else the rate would be that of the guest's TIME_WAIT table. */
void run_connections(const struct endpoint *server, double seconds, enum exchange exchange);

/* Requests in turn over so many established flows, with at most depth of them outstanding. */
void run_flows(const struct endpoint *server, double seconds, int flows, int depth);

/* Opens so many flows, uses each once, and holds them until standard input closes. */
void hold_flows(const struct endpoint *server, int flows);
