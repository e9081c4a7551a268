/*
 * Datagrams at a paced rate, and how many of them arrive: both ends over one UDP socket each, so
 * that every helper sees one flow.
 */
#pragma once
#include "net.h"

/* Counts and sends datagrams as a client asks, on a free port of the address, printed as one line,
 * until standard input closes. */
void serve_datagrams(const char *address);

enum heading { HEADING_UP, HEADING_DOWN };

/*
 * Searches the highest rate at which (nearly) no datagram is lost. Prints "ready", waits for a line
 * on standard input, and prints one JSON object: {"rate": datagrams per second, "steps": n}.
 *
 * size: bytes of each; segments: how many the sender hands to the kernel at once (UDP_SEGMENT);
 * seconds: of each step of the search.
 */
void run_datagrams(const struct endpoint *server, double seconds, enum heading heading, int size,
                   int segments);
