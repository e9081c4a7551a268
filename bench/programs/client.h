/*
  * The client's workloads. Each first connects and prints "ready", waits for a line on
  * standard input so that the bench can read the helper's counters in between, then runs for the
  * given time and prints one JSON object:
  *   {"count": operations, "errors": n, "seconds": s, "p50": us, "p99": us}
  */
#pragma once
#include "net.h"

/* One byte each way on one connection, one at a time. */
void run_transactions(const struct endpoint *server, double seconds);

enum exchange { EXCHANGE_NOTHING, EXCHANGE_BYTE };

/* Repeats connect, optionally a byte each way and an orderly close. Without a byte the connection
 * is reset; otherwise the rate would be that of the guest's TIME_WAIT table. */
void run_connections(const struct endpoint *server, double seconds, enum exchange exchange);

/* Requests in turn over this many established flows, at most depth outstanding. */
void run_flows(const struct endpoint *server, double seconds, int flows, int depth);

/* Opens this many flows, uses each once, and holds them until standard input closes. */
void hold_flows(const struct endpoint *server, int flows);
