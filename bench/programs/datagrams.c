#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

enum { BATCH = 32, LONGEST = 65536, BUFFER_BYTES = 4 << 20 };
enum { PAUSE_NS = 50000, ANSWER_MS = 300, ATTEMPTS = 8, SETTLE_NS = 20000000 };

/* Fraction of sent datagrams that may be lost at a rate that counts as loss-free. */
static const double LOSS_ALLOWED = 0.001;
/* The search: doubles from the lowest rate, then this many steps of bisection. */
enum { LOWEST_RATE = 8000, BISECTIONS = 4 };
/* Part of a rate that a sender must reach for it to count as sustained. */
static const double KEPT = 0.9;

enum kind { KIND_DATA = 1, KIND_ASK, KIND_COUNT, KIND_SEND, KIND_DONE };

/* Head of every datagram. */
struct head {
    uint32_t kind, run;
    uint64_t count; /* COUNT: received; DONE: sent */
    double rate, seconds;
    uint32_t size, segments;
};

struct stream {
    double rate, seconds;
    uint32_t size, segments, run;
};

static char payload[LONGEST];
static char inbox[BATCH][LONGEST];

static int open_socket(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER_BYTES}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER_BYTES}, sizeof(int));
    return fd;
}

static void send_head(int fd, const struct endpoint *to, const struct head *head)
{
    sendto(fd, head, sizeof *head, MSG_NOSIGNAL, (const struct sockaddr *)&to->address, to->length);
}

/* One system call: one datagram as an ordinary program sends it, or many as QUIC stacks send them. */
static bool send_some(int fd, const struct endpoint *to, uint32_t size, uint32_t segments)
{
    if (segments == 1) {
        return sendto(fd, payload, size, MSG_NOSIGNAL, (const struct sockaddr *)&to->address,
                      to->length) >= 0;
    }
    struct iovec piece = {payload, (size_t)size * segments};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct msghdr message = {
        .msg_name = (void *)&to->address, .msg_namelen = to->length,
        .msg_iov = &piece, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(uint16_t))};
    memcpy(CMSG_DATA(header), &(uint16_t){(uint16_t)size}, sizeof(uint16_t));
    return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
}

/* Sends at the rate; overdue datagrams leave at once after a pause. Returns how many were sent. */
static uint64_t send_stream(int fd, const struct endpoint *to, const struct stream *stream)
{
    struct head head = {.kind = KIND_DATA, .run = stream->run};
    for (uint32_t i = 0; i < stream->segments; i++)
        memcpy(payload + (size_t)i * stream->size, &head, sizeof head);
    uint64_t started = now_ns(), sent = 0;
    for (;;) {
        double elapsed = (double)(now_ns() - started) / 1e9;
        if (elapsed >= stream->seconds) return sent;
        uint64_t due = (uint64_t)(elapsed * stream->rate);
        while (sent + stream->segments <= due) {
            if (send_some(fd, to, stream->size, stream->segments)) sent += stream->segments;
            else if (errno != ECONNREFUSED) break;
        }
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

/* ---- receiving ---- */

/* What one call received. */
struct mail {
    struct mmsghdr messages[BATCH];
    struct iovec pieces[BATCH];
    struct endpoint from[BATCH];
    _Alignas(struct cmsghdr) char control[BATCH][CMSG_SPACE(sizeof(int))];
};

static int receive(int fd, struct mail *mail)
{
    for (int i = 0; i < BATCH; i++) {
        mail->pieces[i] = (struct iovec){inbox[i], LONGEST};
        mail->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &mail->from[i].address, .msg_namelen = sizeof mail->from[i].address,
            .msg_iov = &mail->pieces[i], .msg_iovlen = 1,
            .msg_control = mail->control[i], .msg_controllen = sizeof mail->control[i],
        };
    }
    int count = recvmmsg(fd, mail->messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) mail->from[i].length = mail->messages[i].msg_hdr.msg_namelen;
    return count > 0 ? count : 0;
}

/* Number of datagrams in message i: more than one with UDP_GRO. */
static uint64_t datagrams_in(struct mail *mail, int i)
{
    struct msghdr *message = &mail->messages[i].msg_hdr;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header || header->cmsg_type != UDP_GRO) return 1;
    int size;
    memcpy(&size, CMSG_DATA(header), sizeof size);
    return ((uint64_t)mail->messages[i].msg_len + (uint64_t)size - 1) / (uint64_t)size;
}

static bool has_head(const struct mail *mail, int i, struct head *head)
{
    if (mail->messages[i].msg_len < sizeof *head) return false;
    memcpy(head, inbox[i], sizeof *head);
    return true;
}

/* ---- server ---- */

static struct mail mail;

struct counter {
    uint32_t run;
    uint64_t count;
};

static void serve_request(int fd, const struct endpoint *from, const struct head *head,
                          struct counter *received, struct counter *sent)
{
    if (head->kind == KIND_ASK) {
        uint64_t count = received->run == head->run ? received->count : 0;
        send_head(fd, from, &(struct head){.kind = KIND_COUNT, .run = head->run, .count = count});
        return;
    }
    if (head->kind != KIND_SEND) return;
    /* The client repeats a request if it has missed the answer. */
    if (sent->run != head->run) {
        struct stream stream = {head->rate, head->seconds, head->size, head->segments, head->run};
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &(int){head->segments > 1}, sizeof(int));
        *sent = (struct counter){head->run, send_stream(fd, from, &stream)};
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_NS}, NULL);
    }
    send_head(fd, from, &(struct head){.kind = KIND_DONE, .run = head->run, .count = sent->count});
}

static void serve_mail(int fd, int count, struct counter *received, struct counter *sent)
{
    for (int i = 0; i < count; i++) {
        struct head head;
        if (!has_head(&mail, i, &head)) continue;
        if (head.kind != KIND_DATA) {
            serve_request(fd, &mail.from[i], &head, received, sent);
            continue;
        }
        if (received->run != head.run) *received = (struct counter){head.run, 0};
        received->count += datagrams_in(&mail, i);
    }
}

void serve_datagrams(const char *address)
{
    struct endpoint any_port = endpoint_parse(address, "0");
    int fd = open_socket(any_port.address.ss_family);
    if (bind(fd, (const struct sockaddr *)&any_port.address, any_port.length) != 0) die("bind");
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &(int){1}, sizeof(int));
    print_port(fd);

    struct counter received = {0}, sent = {0};
    for (;;) {
        struct pollfd polled[] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(polled, 2, -1) < 0 && errno != EINTR) die("poll");
        if (polled[1].revents != 0) return;
        int count = receive(fd, &mail);
        serve_mail(fd, count, &received, &sent);
    }
}

/* ---- client ---- */

/* Waits for an answer of that kind; counts the run's data meanwhile. False: it did not come. */
static bool await(int fd, enum kind kind, uint32_t run, struct head *answer, uint64_t *data)
{
    for (;;) {
        struct pollfd polled = {fd, POLLIN, 0};
        if (poll(&polled, 1, ANSWER_MS) == 0) return false;
        int count = receive(fd, &mail);
        for (int i = 0; i < count; i++) {
            if (!has_head(&mail, i, answer) || answer->run != run) continue;
            if (answer->kind == kind) return true;
            if (answer->kind == KIND_DATA) *data += datagrams_in(&mail, i);
        }
    }
}

static struct head ask(int fd, const struct endpoint *server, const struct head *question,
                       enum kind kind, uint64_t *data)
{
    struct head answer;
    for (int i = 0; i < ATTEMPTS; i++) {
        send_head(fd, server, question);
        if (await(fd, kind, question->run, &answer, data)) return answer;
    }
    fprintf(stderr, "datagrams: the server does not answer\n");
    exit(1);
}

/* Whether the rate passed; *achieved gets the rate at which datagrams really were sent. */
static bool try_rate(int fd, const struct endpoint *server, enum heading heading,
                     const struct stream *stream, double *achieved)
{
    uint64_t sent, received = 0;
    if (heading == HEADING_UP) {
        sent = send_stream(fd, server, stream);
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_NS}, NULL);
        struct head question = {.kind = KIND_ASK, .run = stream->run};
        uint64_t ignored = 0;
        received = ask(fd, server, &question, KIND_COUNT, &ignored).count;
    } else {
        struct head question = {
            .kind = KIND_SEND, .run = stream->run, .rate = stream->rate,
            .seconds = stream->seconds, .size = stream->size, .segments = stream->segments};
        sent = ask(fd, server, &question, KIND_DONE, &received).count;
    }
    *achieved = (double)sent / stream->seconds;
    return sent > 0 && (double)received >= (double)sent * (1 - LOSS_ALLOWED);
}

/* One failure may be the machine's; the second is believed. */
static bool try_twice(int fd, const struct endpoint *server, enum heading heading,
                      struct stream *stream, double *achieved)
{
    stream->run++;
    if (try_rate(fd, server, heading, stream, achieved)) return true;
    stream->run++;
    return try_rate(fd, server, heading, stream, achieved);
}

void run_datagrams(const struct endpoint *server, double seconds, enum heading heading, int size,
                   int segments)
{
    int fd = open_socket(server->address.ss_family);
    if (segments > 1) setsockopt(fd, IPPROTO_UDP, UDP_GRO, &(int){1}, sizeof(int));
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return;

    uint32_t run = 0;
    double low = 0, high = 0, best = 0, rate = LOWEST_RATE;
    for (int left = BISECTIONS; left > 0;) {
        struct stream stream = {rate, seconds, (uint32_t)size, (uint32_t)segments, run};
        double achieved;
        bool passed = try_twice(fd, server, heading, &stream, &achieved);
        run = stream.run;
        if (passed && achieved > best) best = achieved;
        /* A sender that cannot keep the rate will not keep a higher one. */
        if (passed && achieved < rate * KEPT) break;
        if (passed) low = rate;
        else high = rate;
        if (high > 0) left--;
        rate = high > 0 ? (low + high) / 2 : rate * 2;
    }
    printf("{\"rate\": %.0f, \"steps\": %u}\n", best, run);
}
