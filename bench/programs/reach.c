#define _GNU_SOURCE
#include "reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ASK_EVERY_MS = 2, ECHO_EVERY_MS = 2, LIMIT_SECONDS = 10, LONGEST_NAME = 63 };
enum { DNS_HEADER = 12, TYPE_A = 1, CLASS_IN = 1, RECORD_TAIL = 10 };

/* A message that is not complete ends the program: it came from the server under test. */
static const uint8_t *skip_name(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != 0) {
        if (*at >= 0xc0) return at + 2;
        at += *at + 1;
    }
    return at + 1;
}

static uint16_t read_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Whether the answer has an address. */
static bool parse_answer(const uint8_t *message, size_t length, uint16_t id, struct in_addr *address)
{
    const uint8_t *end = message + length;
    if (length < DNS_HEADER || read_u16(message) != id) return false;
    unsigned answers = read_u16(message + 6);
    const uint8_t *at = skip_name(message + DNS_HEADER, end) + 4;
    for (; answers > 0; answers--) {
        at = skip_name(at, end);
        if (at + RECORD_TAIL > end) return false;
        uint16_t data_length = read_u16(at + 8);
        if (at + RECORD_TAIL + data_length > end) return false;
        if (read_u16(at) == TYPE_A && data_length == sizeof *address) {
            memcpy(address, at + RECORD_TAIL, sizeof *address);
            return true;
        }
        at += RECORD_TAIL + data_length;
    }
    return false;
}

static size_t build_question(uint8_t *message, uint16_t id, const char *name)
{
    uint8_t header[DNS_HEADER] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1};
    size_t length = strlen(name);
    memcpy(message, header, DNS_HEADER);
    message[DNS_HEADER] = (uint8_t)length;
    memcpy(message + DNS_HEADER + 1, name, length);
    uint8_t tail[] = {0, 0, TYPE_A, 0, CLASS_IN};
    memcpy(message + DNS_HEADER + 1 + length, tail, sizeof tail);
    return DNS_HEADER + 1 + length + sizeof tail;
}

static bool readable(int fd, int milliseconds)
{
    return poll(&(struct pollfd){fd, POLLIN, 0}, 1, milliseconds) > 0;
}

static void check_time(uint64_t deadline, const char *name, const char *what)
{
    if (now_ns() < deadline) return;
    fprintf(stderr, "reach: %s: %s\n", name, what);
    exit(1);
}

static struct in_addr resolve(int fd, const char *name, uint64_t deadline)
{
    static uint16_t id;
    struct in_addr address;
    uint8_t message[512];
    for (;;) {
        check_time(deadline, name, "is not known");
        id++;
        size_t length = build_question(message, id, name);
        if (send(fd, message, length, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED) die("ask");
        uint64_t next = now_ns() + ASK_EVERY_MS * 1000000u;
        while (readable(fd, ASK_EVERY_MS)) {
            ssize_t received = recv(fd, message, sizeof message, MSG_DONTWAIT);
            if (received > 0 && parse_answer(message, (size_t)received, id, &address)) return address;
            if (now_ns() >= next) break;
        }
    }
}

static uint16_t checksum(const uint16_t *words, size_t count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~(sum + (sum >> 16));
}

static bool is_reply(int fd, uint16_t id)
{
    uint8_t packet[1500];
    ssize_t length = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
    if (length < (ssize_t)(sizeof(struct iphdr) + sizeof(struct icmphdr))) return false;
    struct icmphdr icmp;
    memcpy(&icmp, packet + 4 * (packet[0] & 0x0f), sizeof icmp);
    return icmp.type == ICMP_ECHOREPLY && icmp.un.echo.id == id;
}

static void reach(int fd, struct in_addr address, const char *name, uint64_t deadline)
{
    static uint16_t id;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = address};
    struct icmphdr request = {.type = ICMP_ECHO, .un.echo.id = ++id};
    request.checksum = checksum((const uint16_t *)&request, sizeof request / 2);
    for (;;) {
        check_time(deadline, name, "does not answer");
        if (sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&to, sizeof to) < 0) die("echo");
        uint64_t next = now_ns() + ECHO_EVERY_MS * 1000000u;
        while (readable(fd, ECHO_EVERY_MS)) {
            if (is_reply(fd, id)) return;
            if (now_ns() >= next) break;
        }
    }
}

void run_reach(const struct endpoint *name_server)
{
    int dns = socket(name_server->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (dns < 0 ||
        connect(dns, (const struct sockaddr *)&name_server->address, name_server->length) != 0) {
        die("name server");
    }
    int icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (icmp < 0) die("raw socket");
    puts("ready");
    fflush(stdout);
    char name[LONGEST_NAME + 2];
    while (fgets(name, sizeof name, stdin) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        uint64_t deadline = now_ns() + LIMIT_SECONDS * 1000000000ull;
        reach(icmp, resolve(dns, name, deadline), name, deadline);
        printf("%llu\n", (unsigned long long)now_ns());
        fflush(stdout);
    }
}
