#define _GNU_SOURCE
#include "net.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { IO_TIMEOUT_SECONDS = 5 };

void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct endpoint endpoint_parse(const char *address, const char *port)
{
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(address, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "%s port %s: %s\n", address, port, gai_strerror(error));
        exit(2);
    }
    struct endpoint endpoint = {.length = found->ai_addrlen};
    memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return endpoint;
}

/* The port is at the same offset in both families' addresses. */
void print_port(int fd)
{
    struct sockaddr_in6 bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &(socklen_t){sizeof bound}) != 0)
        die("getsockname");
    printf("%u\n", ntohs(bound.sin6_port));
    fflush(stdout);
}

int connect_to(const struct endpoint *endpoint)
{
    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct timeval timeout = {.tv_sec = IO_TIMEOUT_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) == 0) return fd;
    close(fd);
    return -1;
}

void close_with_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

void send_request(int fd)
{
    if (send(fd, "x", 1, MSG_NOSIGNAL) != 1) die("send");
}

void receive_answer(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    if (n < 0) die("recv");
    if (n == 0) {
        fprintf(stderr, "recv: connection closed by the other side\n");
        exit(1);
    }
}
