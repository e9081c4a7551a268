/* Requests to a UNIX socket, one on each connection, at a rate. */
#pragma once

/*
 * For so many seconds, so many requests a second, with at most `depth` under way; those that would be
 * more, or find the socket's queue full, are not made, and counted as missed. Prints the result.
 */
void run_requests(const char *path, double seconds, double rate, int depth);
