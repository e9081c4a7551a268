#define _GNU_SOURCE
#include "server.h"

#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256 };

static int listen_on(const char *address)
{
    struct endpoint any_port = endpoint_parse(address, "0");
    int fd = socket(any_port.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (bind(fd, (const struct sockaddr *)&any_port.address, any_port.length) != 0) die("bind");
    if (listen(fd, BACKLOG) != 0) die("listen");
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN) return;
        if (fd < 0 && errno == ECONNABORTED) continue;
        if (fd < 0) die("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(epoll, fd);
    }
}

/* Requests are a byte or a few, so an answer always fits the socket's buffer. */
static void echo(int fd)
{
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || send(fd, bytes, (size_t)n, MSG_NOSIGNAL) != n) close(fd);
}

void serve(const char *address)
{
    int listener = listen_on(address);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    watch(epoll, listener);
    watch(epoll, STDIN_FILENO);
    print_port(listener);

    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO) return;
            if (events[i].data.fd == listener) accept_all(epoll, listener);
            else echo(events[i].data.fd);
        }
    }
}
