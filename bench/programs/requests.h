/* Requests to a UNIX socket, one on each connection, at a rate. */
#pragma once

/*
 * Runs for this many seconds at this many requests a second, at most `depth` in progress. Requests beyond
 * that, or that find the socket's queue full, are not made and count as missed. Prints the result.
 */
void run_requests(const char *path, double seconds, double rate, int depth);
