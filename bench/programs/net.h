/* Sockets and time for the load program. Failures that end a measurement end the program. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

/* Prints what failed and why, and ends the program with status 1. */
_Noreturn void die(const char *what);

/* Monotonic clock, nanoseconds. */
uint64_t now_ns(void);

/* A numeric address of either family and a port, as given on the command line. */
struct endpoint endpoint_parse(const char *address, const char *port);

/* Prints the port that the socket is bound to, as one line. */
void print_port(int fd);

/* A connected TCP socket without Nagle, on which no call blocks for more than IO_TIMEOUT_SECONDS;
 * or -1 with errno. */
int connect_to(const struct endpoint *endpoint);

/* Closes with RST instead of FIN, so that neither side keeps a TIME_WAIT. */
void close_with_reset(int fd);

/* One request and its answer, a byte each. Ends the program when the flow breaks. */
void send_request(int fd);
void receive_answer(int fd);
