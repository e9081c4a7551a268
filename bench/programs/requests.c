#define _GNU_SOURCE
#include "requests.h"

#include "net.h"
#include "samples.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_SAMPLES = 1 << 20, MOST_EVENTS = 64 };

/* The request that a monitoring program repeats. */
static const char REQUEST[] = "{\"execute\": \"list_hostfwd\"}";

struct request {
    int fd; /* -1: none is under way here */
    uint64_t started_ns;
};

struct run {
    struct sockaddr_un address;
    int epoll;
    struct request *requests;
    int depth;
    struct samples samples;
    uint64_t missed, failed;
};

static struct request *free_request(struct run *run)
{
    for (int i = 0; i < run->depth; i++)
        if (run->requests[i].fd < 0) return &run->requests[i];
    return NULL;
}

/* A socket on which the request has been sent, or -1. */
static int ask(const struct run *run)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (const struct sockaddr *)&run->address, sizeof run->address) == 0 &&
        send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) == (ssize_t)sizeof REQUEST - 1 &&
        shutdown(fd, SHUT_WR) == 0)
        return fd;
    close(fd);
    return -1;
}

static void begin(struct run *run)
{
    struct request *request = free_request(run);
    int fd = request == NULL ? -1 : ask(run);
    if (fd < 0) {
        run->missed++;
        return;
    }
    *request = (struct request){.fd = fd, .started_ns = now_ns()};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = request};
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

/* Reads to the end: only then the answer counts. */
static void read_answer(struct run *run, struct request *request)
{
    char answer[4096];
    ssize_t length;
    while ((length = read(request->fd, answer, sizeof answer)) > 0) {
    }
    if (length < 0 && errno == EAGAIN) return;
    if (length == 0) samples_add(&run->samples, now_ns() - request->started_ns);
    else run->failed++;
    close(request->fd);
    request->fd = -1;
}

static void read_answers(struct run *run)
{
    struct epoll_event events[MOST_EVENTS];
    int count = epoll_wait(run->epoll, events, MOST_EVENTS, 1);
    for (int i = 0; i < count; i++) read_answer(run, events[i].data.ptr);
}

void run_requests(const char *path, double seconds, double rate, int depth)
{
    struct run run = {.address.sun_family = AF_UNIX,
                      .epoll = epoll_create1(EPOLL_CLOEXEC),
                      .requests = calloc((size_t)depth, sizeof *run.requests),
                      .depth = depth,
                      .samples = samples_new(MOST_SAMPLES)};
    if (run.epoll < 0 || run.requests == NULL) die("epoll_create1");
    strncpy(run.address.sun_path, path, sizeof run.address.sun_path - 1);
    for (int i = 0; i < depth; i++) run.requests[i].fd = -1;
    uint64_t started = now_ns(), made = 0;
    double elapsed;
    while ((elapsed = (double)(now_ns() - started) / 1e9) < seconds) {
        for (; (double)made < elapsed * rate; made++) begin(&run);
        read_answers(&run);
    }
    printf("{\"count\": %zu, \"missed\": %llu, \"failed\": %llu, \"seconds\": %.6f, \"p50\": %.3f, "
           "\"p99\": %.3f}\n",
           run.samples.count, (unsigned long long)run.missed, (unsigned long long)run.failed, elapsed,
           samples_quantile_us(&run.samples, 0.5), samples_quantile_us(&run.samples, 0.99));
}
