/*
 * When a name can be used. Prints "ready"; then for each NAME, a line on standard input, asks the name server for it
 * until there is an address, sends echo requests there until one is answered, and prints the monotonic time, ns.
 * Needs CAP_NET_RAW over its network namespace.
 */
#pragma once
#include "net.h"

void run_reach(const struct endpoint *name_server);
