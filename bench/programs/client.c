#define _GNU_SOURCE
#include "client.h"

#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_SAMPLES = 8 * 1024 * 1024, EVENTS = 64, WAIT_MS = 5000 };

static void report_ready_and_wait(void)
{
    puts("ready");
    fflush(stdout);
    int c;
    do c = getchar();
    while (c != '\n' && c != EOF);
}

static uint64_t deadline_after(double seconds)
{
    return now_ns() + (uint64_t)(seconds * 1e9);
}

static void print_result(struct samples *samples, uint64_t errors, uint64_t started_ns)
{
    double seconds = (double)(now_ns() - started_ns) / 1e9;
    printf("{\"count\": %zu, \"errors\": %llu, \"seconds\": %.6f, \"p50\": %.3f, \"p99\": %.3f}\n",
           samples->count, (unsigned long long)errors, seconds, samples_quantile_us(samples, 0.5),
           samples_quantile_us(samples, 0.99));
}

static int connect_or_die(const struct endpoint *server)
{
    int fd = connect_to(server);
    if (fd < 0) die("connect");
    return fd;
}

void run_transactions(const struct endpoint *server, double seconds)
{
    struct samples samples = samples_new(MAX_SAMPLES);
    int fd = connect_or_die(server);
    report_ready_and_wait();

    uint64_t started = now_ns(), deadline = deadline_after(seconds);
    for (uint64_t before = started; before < deadline;) {
        send_request(fd);
        receive_answer(fd);
        uint64_t after = now_ns();
        samples_add(&samples, after - before);
        before = after;
    }
    print_result(&samples, 0, started);
}

/* False when the connection could not be made. */
static bool connect_once(const struct endpoint *server, enum exchange exchange)
{
    int fd = connect_to(server);
    if (fd < 0) return false;
    switch (exchange) {
    case EXCHANGE_NOTHING:
        close_with_reset(fd);
        break;
    case EXCHANGE_BYTE:
        send_request(fd);
        receive_answer(fd);
        close(fd);
        break;
    }
    return true;
}

void run_connections(const struct endpoint *server, double seconds, enum exchange exchange)
{
    struct samples samples = samples_new(MAX_SAMPLES);
    uint64_t errors = 0;
    report_ready_and_wait();

    uint64_t started = now_ns(), deadline = deadline_after(seconds);
    for (uint64_t before = started; before < deadline;) {
        bool connected = connect_once(server, exchange);
        uint64_t after = now_ns();
        if (connected) samples_add(&samples, after - before);
        else errors++;
        before = after;
    }
    print_result(&samples, errors, started);
}

struct flow {
    int fd;
    uint64_t sent_ns; /* 0: no request outstanding */
};

/* Each flow carries one request at once: until then a helper may not have made its own side. */
static struct flow *open_flows(const struct endpoint *server, int count)
{
    struct flow *flows = calloc((size_t)count, sizeof *flows);
    if (flows == NULL) die("calloc");
    for (int i = 0; i < count; i++) {
        flows[i].fd = connect_to(server);
        if (flows[i].fd < 0) {
            fprintf(stderr, "flow %d of %d: ", i + 1, count);
            die("connect");
        }
        send_request(flows[i].fd);
        receive_answer(flows[i].fd);
    }
    return flows;
}

static int watch_flows(struct flow *flows, int count)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &flows[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, flows[i].fd, &event) != 0) die("epoll_ctl");
    }
    return epoll;
}

/* Sends on the next flow in turn that has no request outstanding; there always is one, because
 * fewer requests than flows are outstanding when it is called. */
static void request_next(struct flow *flows, int count, int *cursor)
{
    while (flows[*cursor].sent_ns != 0) *cursor = (*cursor + 1) % count;
    flows[*cursor].sent_ns = now_ns();
    send_request(flows[*cursor].fd);
    *cursor = (*cursor + 1) % count;
}

void run_flows(const struct endpoint *server, double seconds, int count, int depth)
{
    struct samples samples = samples_new(MAX_SAMPLES);
    struct flow *flows = open_flows(server, count);
    int epoll = watch_flows(flows, count);
    report_ready_and_wait();

    int cursor = 0;
    uint64_t started = now_ns(), deadline = deadline_after(seconds);
    for (int i = 0; i < depth; i++) request_next(flows, count, &cursor);
    while (now_ns() < deadline) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, WAIT_MS);
        if (ready < 0) die("epoll_wait");
        if (ready == 0) {
            fprintf(stderr, "no answer within %d ms\n", WAIT_MS);
            exit(1);
        }
        for (int i = 0; i < ready; i++) {
            struct flow *flow = events[i].data.ptr;
            receive_answer(flow->fd);
            samples_add(&samples, now_ns() - flow->sent_ns);
            flow->sent_ns = 0;
            request_next(flows, count, &cursor);
        }
    }
    print_result(&samples, 0, started);
}

void hold_flows(const struct endpoint *server, int flows)
{
    open_flows(server, flows);
    report_ready_and_wait();
}
