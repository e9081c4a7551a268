/*
 * A hostile guest and a busy host against lwIP and our C around it. libFuzzer runs this natively,
 * under ASan and UBSan; test/fuzz/replay.ts runs it, compiled to WASM, against the module that we ship.
 *
 * The input is a list of steps of 12 bytes. Segments have valid checksums, and sequence numbers that
 * follow the connection's or are off by as much as the step says; patches damage the next frame
 * anywhere. Each byte of a stream is a function of its position, so that what arrives can be checked
 * even when data is sent twice, overlapping or out of order: `expect` ends the run.
 *
 * Linked without PIE: I/O vectors hold 32-bit addresses, as in WASM.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "abi.h"
#include "platform.h"
#include "random.h"

#ifdef __wasm__
#define FROM_STACK(name) __attribute__((import_module("stack"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))
#define OTHER_TRANSMIT __attribute__((export_name("transmit")))
#else
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#define FROM_STACK(name)
#define EXPORT(name)
#endif

FROM_STACK(init) void stack_init(uint32_t mtu, uint32_t offload, uint32_t budget, double mac,
                                 uint32_t seed_high, uint32_t seed_low);
FROM_STACK(events_at) uint32_t stack_events_at(void);
FROM_STACK(iov_at) uint32_t stack_iov_at(void);
FROM_STACK(addresses_at) uint32_t stack_addresses_at(void);
FROM_STACK(buffer) uint32_t stack_buffer(void);
FROM_STACK(buffer_take) uint32_t stack_buffer_take(void);
FROM_STACK(buffer_give) void stack_buffer_give(uint8_t *buffer);
FROM_STACK(take_events) uint32_t stack_take_events(void);
FROM_STACK(tick) uint32_t stack_tick(void);
FROM_STACK(flush_acks) uint32_t stack_flush_acks(void);
FROM_STACK(stats) uint32_t stack_stats(void);
FROM_STACK(input) int32_t stack_input(uint32_t length);
FROM_STACK(flow_reserved_at) uint32_t stack_flow_reserved_at(void);
FROM_STACK(flow_count) uint32_t stack_flow_count(void);
FROM_STACK(flow_syn) uint32_t stack_flow_syn(uint32_t id);
FROM_STACK(flow_accept) uint32_t stack_flow_accept(uint32_t id);
FROM_STACK(flow_pending) uint32_t stack_flow_pending(uint32_t id);
FROM_STACK(flow_reserve) int32_t stack_flow_reserve(uint32_t id);
FROM_STACK(flow_connect) int32_t stack_flow_connect(uint32_t family, uint32_t ports, double mac);
FROM_STACK(flow_update_path_mtu) uint32_t stack_flow_update_path_mtu(uint32_t family, uint32_t ports,
                                                                     uint32_t sequence, uint32_t mtu);
FROM_STACK(flow_refuse) void stack_flow_refuse(uint32_t id);
FROM_STACK(flow_consumed) void stack_flow_consumed(uint32_t id, uint32_t length);
FROM_STACK(flow_commit) void stack_flow_commit(uint32_t id, uint32_t length);
FROM_STACK(flow_finish) void stack_flow_finish(uint32_t id);
FROM_STACK(flow_reset) void stack_flow_reset(uint32_t id);
FROM_STACK(flow_release) void stack_flow_release(uint32_t id);

#define MTU 1500
#define BUDGET (4 * 1024 * 1024)
/* The receive buffer, the block for the next bytes from the host, lwIP's listener. */
#define BLOCKS_AT_REST 3
#define TUPLES 16
#define IDS 64
#define HELD 64 /* more buffers than the budget has */
#define FRAME_MOST (ABI_FRAME_CAPACITY - 512)
#define VNET ABI_VNET_HEADER_SIZE
#define FIRST_PORT 40000
#define TICKS_MOST 2000

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

struct step {
  uint8_t operation, tuple, flags, choice;
  uint16_t length, window;
  int16_t skew, ack_skew;
};
_Static_assert(sizeof(struct step) == 12, "the corpus has steps of 12 bytes");

/* What a guest's kernel knows of a connection, and what the stack has said about its side. */
static struct connection {
  uint32_t next;         /* the guest's next sequence number */
  uint32_t acknowledged; /* up to which the stack acknowledged */
  uint32_t window;       /* bytes that it takes from there on */
  uint32_t received;     /* the end of what the stack has sent */
  uint32_t answered;     /* up to which the guest acknowledged that */
  uint32_t first;        /* of the stack's data */
  bool first_known;
} connections[TUPLES];

enum state { FREE, SYN_HELD, LIVE, ENDED };

/* A flow as the host sees it. */
static struct host {
  uint8_t state;
  bool position_known;
  uint32_t position;  /* sequence number of the guest's next byte */
  uint32_t committed; /* bytes given to the guest */
} hosts[IDS];

static struct patch {
  uint16_t offset;
  uint8_t bytes[4];
  bool after; /* applied after the checksum, which is then wrong */
} patches[4];
static uint32_t patch_count;
static uint32_t resized; /* length of the next frame; 0: unchanged */
static bool tainted;     /* a frame was damaged: what the streams carry is unknown */
static uint32_t failures_due, ticks_passed;
static uint32_t held[HELD];
static uint32_t last_sequence;
static bool offload;

/* Counts of this process, or in the file FUZZ_TALLY, those of all processes and runs. */
struct tally {
  uint64_t inputs, frames_in, frames_out;
};
static struct tally own_tally, *tally = &own_tally;
static void add_one(uint64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

#ifdef __wasm__
static int failed_line;
EXPORT(failed_at) int failed_at(void) { return failed_line; }
#endif
#define expect(holds) ((holds) ? (void)0 : failed(__LINE__, #holds))
_Noreturn static void failed(int line, const char *what) {
#ifdef __wasm__
  (void)what;
  failed_line = line;
#else
  fprintf(stderr, "stack.c:%d: does not hold: %s\n", line, what);
#endif
  __builtin_trap();
}

static void *at(uint32_t address) { return (void *)(uintptr_t)address; }

static uint16_t load16(const uint8_t *from) { return (uint16_t)(from[0] << 8 | from[1]); }
static uint32_t load32(const uint8_t *from) {
  return (uint32_t)load16(from) << 16 | load16(from + 2);
}
static void put16(uint8_t *to, uint32_t value) {
  to[0] = (uint8_t)(value >> 8);
  to[1] = (uint8_t)value;
}
static void put32(uint8_t *to, uint32_t value) {
  put16(to, value >> 16);
  put16(to + 2, value);
}

static uint32_t mix(uint32_t value) {
  value *= 2654435761u;
  return value ^ value >> 15;
}

/* The byte of a stream at a sequence number. */
static uint8_t pattern(uint32_t sequence) { return (uint8_t)(sequence ^ sequence >> 8 ^ 0x5a); }

static uint32_t sum(uint32_t start, const uint8_t *bytes, uint32_t length) {
  uint64_t total = start;
  for (uint32_t i = 0; i + 1 < length; i += 2) total += load16(bytes + i);
  if (length & 1) total += (uint32_t)bytes[length - 1] << 8;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return (uint32_t)total;
}

/* ---- what the stack sends: every byte is read and checked ---- */

struct sent {
  const uint8_t *ip, *tcp, *payload;
  uint32_t ip_header, length, payload_length; /* `length` is TCP's */
  bool v6;
};

static struct sent parse(const uint8_t *frame, uint32_t length) {
  expect(length >= 14 + 40);
  struct sent sent = {.ip = frame + 14, .v6 = load16(frame + 12) == 0x86dd};
  sent.ip_header = sent.v6 ? 40 : 20;
  uint32_t total = sent.v6 ? load16(sent.ip + 4) + 40u : load16(sent.ip + 2);
  expect(total == length - 14);
  expect(sent.v6 || sum(0, sent.ip, 20) == 0xffff);
  sent.length = total - sent.ip_header;
  sent.tcp = sent.ip + sent.ip_header;
  uint32_t header = (sent.tcp[12] >> 4) * 4u;
  expect(header >= 20 && header <= sent.length);
  sent.payload = sent.tcp + header;
  sent.payload_length = sent.length - header;
  return sent;
}

static uint32_t pseudo_sum(const uint8_t *ip, bool v6, uint32_t length) {
  return sum(6 + length, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
}

static void check_offload(const uint8_t *vnet, const struct sent *sent, uint32_t frame_length) {
  uint16_t fields[4];
  memcpy(fields, vnet + 2, sizeof fields);
  uint32_t headers = (uint32_t)(sent->payload - sent->ip) + 14;
  expect(vnet[0] == 1 && fields[0] == headers && fields[3] == 16);
  expect(fields[2] == 14 + sent->ip_header);
  expect(load16(sent->tcp + 16) == pseudo_sum(sent->ip, sent->v6, sent->length));
  if (vnet[1] == 0) expect(frame_length <= MTU + 14u);
  else expect(fields[1] > 0 && headers - 14u + fields[1] <= MTU);
}

static struct connection *connection_of(const struct sent *sent) {
  uint32_t index = (uint32_t)load16(sent->tcp + 2) - FIRST_PORT;
  if (index >= TUPLES || sent->v6 != (index & 1) || load16(sent->tcp) != 80) return NULL;
  return &connections[index];
}

static void check_payload(const struct connection *connection, const struct sent *sent) {
  uint32_t position = load32(sent->tcp + 4) - connection->first;
  for (uint32_t i = 0; i < sent->payload_length; i++)
    expect(sent->payload[i] == pattern(position + i));
}

static void learn(const struct sent *sent) {
  struct connection *connection = connection_of(sent);
  if (!connection) return;
  uint32_t sequence = load32(sent->tcp + 4), flags = sent->tcp[13];
  if (flags & RST) return;
  if (flags & SYN) {
    connection->first = connection->received = connection->answered = sequence + 1;
    connection->first_known = true;
  }
  if (!tainted && connection->first_known) check_payload(connection, sent);
  uint32_t end = sequence + sent->payload_length + ((flags & (SYN | FIN)) != 0);
  if ((int32_t)(end - connection->received) > 0) connection->received = end;
  if (flags & ACK) connection->acknowledged = load32(sent->tcp + 8);
  connection->window = load16(sent->tcp + 14) * (flags & SYN ? 1u : 256u);
}

#ifdef __wasm__
OTHER_TRANSMIT
#endif
int32_t
#ifdef __wasm__
stack_transmit
#else
transmit
#endif
    (const struct iov *pieces, uint32_t count) {
  static uint8_t frame[1 << 17];
  uint32_t length = 0;
  expect(count > 0 && count <= ABI_MAX_IOV);
  for (uint32_t i = 0; i < count; i++) {
    expect(length + pieces[i].length <= sizeof frame);
    memcpy(frame + length, at(pieces[i].base), pieces[i].length);
    length += pieces[i].length;
  }
  add_one(&tally->frames_out);
  uint32_t header = offload ? VNET : 0;
  struct sent sent = parse(frame + header, length - header);
  if (offload) {
    check_offload(frame, &sent, length - header);
  } else {
    expect(length <= MTU + 14);
    expect(sum(pseudo_sum(sent.ip, sent.v6, sent.length), sent.tcp, sent.length) == 0xffff);
  }
  if (failures_due > 0) {
    failures_due--;
    return -11; /* EAGAIN */
  }
  learn(&sent);
  return 0;
}

/* ---- what the guest sends ---- */

static void input(uint8_t *frame, uint32_t length) {
  for (uint32_t i = 0; i < patch_count; i++) {
    if (patches[i].after) memcpy(frame + patches[i].offset, patches[i].bytes, 4);
  }
  if (resized) length = resized;
  patch_count = resized = 0;
  add_one(&tally->frames_in);
  stack_input(length);
}

static void patch(const struct step *step) {
  if (patch_count == 4) return;
  /* Mostly within the headers. */
  uint32_t offset = step->choice & 1 ? step->length % 2048u : step->length % 128u;
  struct patch *next = &patches[patch_count++];
  next->offset = (uint16_t)offset;
  next->after = step->choice & 2;
  put16(next->bytes, step->window);
  put16(next->bytes + 2, (uint16_t)step->skew);
  tainted = true;
}

static void resize(const struct step *step) {
  resized = step->choice & 1 ? step->length % 128u : step->length % (FRAME_MOST + 1024u);
  tainted = true;
}

/* Random bytes; on choice behind an IP header with version, length and protocol. */
static void noise(const struct step *step) {
  uint8_t *frame = at(stack_buffer());
  uint32_t length = step->length % (step->choice & 1 ? 2048u : 96u), seed = step->window;
  tainted = true;
  for (uint32_t i = 0; i < length; i++) frame[i] = (uint8_t)(mix(seed + i) >> 8);
  if (length >= 64 && step->choice & 2) {
    put16(frame + VNET + 12, step->choice & 4 ? 0x86dd : 0x0800);
    frame[VNET + 14] = step->choice & 4 ? 0x60 : (uint8_t)(0x40 | step->flags % 16);
    put16(frame + VNET + 14 + (step->choice & 4 ? 4 : 2), (uint16_t)step->skew);
    frame[VNET + 14 + (step->choice & 4 ? 6 : 9)] = step->choice & 8 ? 6 : step->tuple;
  }
  input(frame, length);
}

/* Mostly flags that TCP sends, now and then any. */
static uint32_t flags_of(uint32_t choice) {
  static const uint8_t usual[] = {SYN,       ACK,       ACK,       ACK | PSH, ACK | PSH,
                                  ACK | FIN, RST,       ACK | URG, ACK,       ACK | PSH,
                                  SYN | ACK, RST | ACK, ACK,       SYN,       ACK | PSH | FIN};
  return choice < 0xf0 ? usual[choice % sizeof usual] : mix(choice) & 0xff;
}

static uint32_t option_of_any_length(uint8_t *to, const struct step *step) {
  uint32_t length = step->length % 41u & ~3u;
  for (uint32_t i = 0; i < length; i++) to[i] = (uint8_t)(mix(step->window + i) >> 7);
  if (length > 0) to[0] = (uint8_t)step->tuple % 32; /* a kind that exists */
  return length;
}

static uint32_t put_options(uint8_t *to, const struct step *step, const struct connection *of) {
  static const uint8_t handshake[] = {2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 0, 0};
  static const uint8_t time_stamp[] = {1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0};
  switch (step->choice >> 4) {
    case 0:
    case 1: memcpy(to, handshake, sizeof handshake); return sizeof handshake;
    case 2:
      memcpy(to, handshake, sizeof handshake);
      put16(to + 2, step->window); /* any MSS */
      to[9] = step->flags % 20;    /* any window scale */
      return sizeof handshake;
    case 3: memcpy(to, time_stamp, sizeof time_stamp); return sizeof time_stamp;
    case 4: /* SACK, RFC 2018 */
      memset(to, 1, 12);
      to[2] = 5, to[3] = 10;
      put32(to + 4, of->received + (uint32_t)step->skew);
      put32(to + 8, of->received + (uint32_t)step->ack_skew);
      return 12;
    case 5: return option_of_any_length(to, step);
    case 6: memset(to, 1, 40); return 40;
    default: return 0;
  }
}

static uint32_t payload_of(const struct step *step) {
  switch (step->choice >> 2 & 3) {
    case 0: return step->length % 64u;
    case 1: return step->length % 1461u;
    case 2: return step->length % 4096u;
    default: return step->length % (FRAME_MOST - 200u);
  }
}

/* Two bits of `choice` select the base of the sequence number, the skew is added to it. */
static uint32_t sequence_of(const struct step *step, const struct connection *of) {
  uint32_t skew = (uint32_t)(int32_t)step->skew;
  switch (step->choice & 3) {
    case 0: return of->next;
    case 1: return of->acknowledged + skew;
    case 2: return of->acknowledged + of->window + skew;
    default: return mix(skew) << 8;
  }
}

static uint32_t acknowledgement_of(const struct step *step, const struct connection *of) {
  int32_t skew = step->ack_skew;
  if (skew > -64 && skew < 64) return of->received + (uint32_t)(skew / 16);
  if (skew < -0x6000) return of->answered;
  return of->received + (uint32_t)skew * (skew & 1 ? 64u : 1u);
}

static uint32_t put_ip(uint8_t *frame, uint32_t index, uint32_t length) {
  uint8_t *ip = frame + VNET + 14;
  bool v6 = index & 1;
  put16(frame + VNET + 12, v6 ? 0x86dd : 0x0800);
  if (v6) {
    ip[0] = 0x60;
    put16(ip + 4, length);
    ip[6] = 6, ip[7] = 64;
    put32(ip + 8, 0x20010db8), ip[23] = 100;
    put32(ip + 24, 0x20010db8), put16(ip + 28, 1), ip[39] = 7;
    return 40;
  }
  ip[0] = 0x45;
  put16(ip + 2, length + 20);
  ip[8] = 64, ip[9] = 6;
  put32(ip + 12, 0x0a000264);
  put32(ip + 16, 0xcb007107);
  return 20;
}

static void put_checksum(uint8_t *frame, uint32_t ip_header, uint32_t length, bool leave) {
  uint8_t *ip = frame + VNET + 14, *tcp = ip + ip_header;
  if (ip_header == 20) {
    put16(ip + 10, 0);
    put16(ip + 10, ~sum(0, ip, 20));
  }
  put16(tcp + 16, 0);
  uint32_t pseudo = pseudo_sum(ip, ip_header == 40, length);
  frame[0] = leave; /* VIRTIO_NET_HDR_F_NEEDS_CSUM */
  put16(tcp + 16, leave ? pseudo : ~sum(pseudo, tcp, length));
}

struct segment {
  uint32_t sequence, acknowledgement, flags, window, urgent, payload;
};

static void send(const struct step *step, uint32_t index, const struct segment *segment) {
  struct connection *connection = &connections[index];
  uint8_t *frame = at(stack_buffer());
  memset(frame, 0, VNET + 14 + 40 + 60);
  uint32_t ip_header = index & 1 ? 40 : 20;
  uint8_t *tcp = frame + VNET + 14 + ip_header;
  uint32_t header = 20 + put_options(tcp + 20, step, connection), length = header + segment->payload;
  put_ip(frame, index, length);
  put16(tcp, FIRST_PORT + index);
  put16(tcp + 2, 80);
  put32(tcp + 4, segment->sequence);
  put32(tcp + 8, segment->acknowledgement);
  tcp[12] = (uint8_t)(header / 4 << 4);
  tcp[13] = (uint8_t)segment->flags;
  put16(tcp + 14, segment->window);
  put16(tcp + 18, segment->urgent);
  uint32_t data = segment->sequence + ((segment->flags & SYN) != 0);
  for (uint32_t i = 0; i < segment->payload; i++) tcp[header + i] = pattern(data + i);
  for (uint32_t i = 0; i < patch_count; i++) {
    if (!patches[i].after) memcpy(frame + patches[i].offset, patches[i].bytes, 4);
  }
  put_checksum(frame, ip_header, length, offload && segment->window & 1);
  last_sequence = segment->sequence;
  input(frame, VNET + 14 + ip_header + length);
}

static void segment(const struct step *step) {
  uint32_t index = step->tuple % TUPLES, flags = flags_of(step->flags);
  struct connection *connection = &connections[index];
  if (flags == SYN && step->choice & 1) connection->next = mix((uint32_t)step->skew) << 8 | 0xf0;
  struct segment segment = {
      .sequence = sequence_of(step, connection),
      .acknowledgement = acknowledgement_of(step, connection),
      .flags = flags,
      .window = step->window,
      .urgent = flags & URG ? step->window ^ step->length : 0,
      .payload = flags & SYN && !(step->choice & 8) ? 0 : payload_of(step),
  };
  if (flags == SYN) segment.sequence = connection->next;
  send(step, index, &segment);
  uint32_t end = segment.sequence + segment.payload + ((flags & FIN) != 0) + ((flags & SYN) != 0);
  if (segment.sequence == connection->next && !(flags & RST)) connection->next = end;
  if (flags & ACK) connection->answered = segment.acknowledgement;
}

/* An honest guest: acknowledges all that came, and continues where the stack is. */
static void answer(const struct step *step) {
  static const struct step plain = {.choice = 0xff};
  for (uint32_t i = 0; i < TUPLES; i++) {
    uint32_t index = step->choice & 1 ? i : step->tuple % TUPLES;
    struct connection *connection = &connections[index];
    if (step->choice & 2) connection->next = connection->acknowledged;
    struct segment segment = {
        .sequence = connection->next,
        .acknowledgement = connection->received,
        .flags = ACK,
        .window = step->choice & 4 ? step->window : 0xffff,
        .payload = step->choice & 8 ? step->length % 1400u : 0,
    };
    send(&plain, index, &segment);
    connection->next += segment.payload;
    connection->answered = connection->received;
    if (!(step->choice & 1)) return;
  }
}

/* ---- what the host does ---- */

static uint32_t sequence_of_held_syn(uint32_t id) {
  expect(stack_flow_syn(id) == 1);
  const struct iov *piece = at(stack_iov_at());
  const uint8_t *ip = at(piece->base);
  return load32(ip + (ip[0] >> 4 == 6 ? 40 : (ip[0] & 15) * 4) + 4);
}

static void on_event(uint32_t id, uint32_t bits) {
  struct host *host = &hosts[id];
  if (bits & ABI_EVENT_SYN && !(bits & ABI_EVENT_RESET)) {
    *host = (struct host){SYN_HELD, true, sequence_of_held_syn(id) + 1, 0};
  }
  if (bits & ABI_EVENT_OPEN && !host->position_known) {
    host->position = last_sequence + 1;
    host->position_known = true;
  }
  if (bits & (ABI_EVENT_CLOSED | ABI_EVENT_RESET)) host->state = ENDED;
}

static void drain_events(void) {
  const uint32_t *events = at(stack_events_at());
  for (uint32_t count; (count = stack_take_events()) > 0;) {
    expect(count <= ABI_MAX_EVENTS);
    for (uint32_t i = 0; i < count; i++) {
      if (events[2 * i] >= IDS) stack_flow_release(events[2 * i]);
      else on_event(events[2 * i], events[2 * i + 1]);
    }
  }
}

static void check_bytes(struct host *host, const uint8_t *bytes, uint32_t length) {
  bool known = host->position_known && !tainted;
  volatile uint8_t sink = 0;
  for (uint32_t i = 0; i < length; i++) {
    sink ^= bytes[i];
    if (known) expect(bytes[i] == pattern(host->position + i));
  }
}

/* The host takes all of what waits, a part, or nothing. */
static void consume(uint32_t id, const struct step *step) {
  struct host *host = &hosts[id];
  const struct iov *pieces = at(stack_iov_at());
  uint32_t offered = 0, count = stack_flow_pending(id), start = host->position;
  expect(count <= ABI_MAX_IOV);
  for (uint32_t i = 0; i < count; i++) {
    check_bytes(host, at(pieces[i].base), pieces[i].length);
    offered += pieces[i].length;
    host->position += pieces[i].length;
  }
  uint32_t taken = step->choice < 0x80 ? offered : (uint32_t)((uint64_t)offered * step->length >> 16);
  host->position = start + taken;
  stack_flow_consumed(id, taken);
}

static void receive(uint32_t id, const struct step *step) {
  struct host *host = &hosts[id];
  int32_t room = stack_flow_reserve(id);
  if (room <= 0) return;
  uint32_t length = step->choice < 0x40 ? (uint32_t)room : step->length % ((uint32_t)room + 1);
  uint8_t *to = at(stack_flow_reserved_at());
  for (uint32_t i = 0; i < length; i++) to[i] = pattern(host->committed + i);
  stack_flow_commit(id, length);
  host->committed += length;
}

static void put_addresses(uint32_t index) {
  uint8_t *addresses = at(stack_addresses_at()), frame[VNET + 14 + 40];
  uint32_t size = index & 1 ? 16 : 4, from = index & 1 ? 8 : 12;
  memset(frame, 0, sizeof frame);
  put_ip(frame, index, 20);
  memcpy(addresses, frame + VNET + 14 + from, size);
  memcpy(addresses + 16, frame + VNET + 14 + from + size, size);
}

static void connect_to_guest(const struct step *step) {
  uint32_t index = step->tuple % TUPLES;
  put_addresses(index);
  int32_t id = stack_flow_connect(index & 1 ? 6 : 4, (FIRST_PORT + index) << 16 | 80, 0x000100000002);
  if (id >= IDS) stack_flow_release((uint32_t)id);
  else if (id >= 0) hosts[id] = (struct host){.state = LIVE};
}

/* A router of the guest reports a smaller MTU, about a segment in flight or about any number. */
static void update_path_mtu(const struct step *step) {
  uint32_t index = step->tuple % TUPLES;
  put_addresses(index);
  uint32_t sequence = connections[index].answered + (uint32_t)(int32_t)step->skew;
  uint32_t ports = (FIRST_PORT + index) << 16 | 80;
  stack_flow_update_path_mtu(index & 1 ? 6 : 4, ports, sequence, step->length);
}

static void accept_flow(uint32_t id) {
  if (hosts[id].state != SYN_HELD) return;
  hosts[id].state = stack_flow_accept(id) ? LIVE : ENDED;
}

static void release(uint32_t id) {
  stack_flow_release(id);
  hosts[id].state = FREE;
}

static void host_step(const struct step *step) {
  uint32_t id = step->tuple % IDS;
  switch (step->flags % 13) {
    case 0: accept_flow(id); break;
    case 1:
      if (hosts[id].state != SYN_HELD) break;
      stack_flow_refuse(id);
      release(id);
      break;
    case 2:
    case 3: consume(id, step); break;
    case 4:
    case 5:
    case 6: receive(id, step); break;
    case 7: stack_flow_finish(id); break;
    case 8: stack_flow_reset(id); break;
    case 9:
      if (hosts[id].state == ENDED) release(id);
      break;
    case 10: connect_to_guest(step); break;
    case 12: update_path_mtu(step); break;
    case 11: /* flows that have ended, and ids that no flow has had */
      for (uint32_t each = 0; each < IDS; each++) {
        if (hosts[each].state == ENDED) release(each);
      }
      stack_flow_release(step->length);
      if (step->length < IDS) hosts[step->length].state = FREE;
      break;
  }
}

/* Serves every flow, as at the end of a wake-up. */
static void turn(const struct step *step) {
  for (uint32_t id = 0; id < IDS; id++) {
    accept_flow(id);
    if (hosts[id].state != LIVE) continue;
    if (step->flags & 1) consume(id, step);
    if (step->flags & 2) receive(id, step);
    if (step->flags & 4) stack_flow_finish(id);
  }
  stack_flush_acks();
}

/* TypeScript keeps buffers, up to all that the budget has, or gives them back. */
static void hold_buffers(const struct step *step) {
  for (uint32_t i = 0; i <= step->length % HELD; i++) {
    uint32_t *slot = &held[(step->tuple + i) % HELD];
    if (*slot) stack_buffer_give(at(*slot));
    *slot = step->choice & 1 ? stack_buffer_take() : 0;
  }
}

/* Long steps pass the retransmission time-outs; at most TICKS_MOST ticks in a run. */
static void pass_time(const struct step *step) {
  uint32_t ticks = step->choice < 0xf0 ? step->choice % 16 + 1u : (step->length & 1023u);
  for (; ticks > 0 && ticks_passed < TICKS_MOST; ticks--, ticks_passed++) {
    stack_tick();
    drain_events();
  }
}

static void carry_out(const struct step *step) {
  switch (step->operation % 16) {
    case 0: noise(step); break;
    case 1: patch(step); return;
    case 2: resize(step); return;
    case 3: failures_due = step->choice % 32; break;
    case 4: hold_buffers(step); break;
    case 5: pass_time(step); break;
    case 6: turn(step); break;
    case 7:
    case 8:
    case 9: host_step(step); break;
    case 10: answer(step); break;
    default: segment(step); break;
  }
  drain_events();
}

/* Ends everything, TIME_WAIT included; the memory must then be back at its baseline. */
static void end_of_run(void) {
  failures_due = 0;
  for (uint32_t i = 0; i < HELD; i++) {
    if (held[i]) stack_buffer_give(at(held[i]));
    held[i] = 0;
  }
  for (uint32_t id = 0; id < 1024; id++) {
    stack_flow_reset(id);
    stack_flow_release(id);
  }
  drain_events();
  for (int ticks = 0; stack_tick() && ticks < 1000; ticks++) drain_events();
  stack_flush_acks();
  stack_flush_acks();
  const uint32_t *statistics = at(stack_stats());
  expect(stack_flow_count() == 0);
  expect(statistics[ABI_STAT_BLOCKS_IN_USE] <= BLOCKS_AT_REST);
  memset(hosts, 0, sizeof hosts);
  memset(connections, 0, sizeof connections);
  patch_count = resized = ticks_passed = 0;
  tainted = false;
}

EXPORT(start) void start(uint32_t with_offload) {
  offload = with_offload;
  stack_init(MTU, offload, BUDGET, 0x52550a000202, 1, 2);
}

EXPORT(run) void run(const uint8_t *data, uint32_t size) {
  for (; size >= sizeof(struct step); data += sizeof(struct step), size -= sizeof(struct step)) {
    struct step step;
    memcpy(&step, data, sizeof step);
    carry_out(&step);
  }
  end_of_run();
}

#ifdef __wasm__
EXPORT(input_at) uint8_t *input_at(void) {
  static uint8_t bytes[1 << 16];
  return bytes;
}
#else
static void report(void) {
  fprintf(stderr, "stat::inputs:                   %llu\n", (unsigned long long)tally->inputs);
  fprintf(stderr, "stat::frames_in:                %llu\n", (unsigned long long)tally->frames_in);
  fprintf(stderr, "stat::frames_out:               %llu\n", (unsigned long long)tally->frames_out);
}

/* Mapped and counted in place, so that the counts are exact also when a process is killed. */
static void share_tally(const char *path) {
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  void *mapped = MAP_FAILED;
  if (file >= 0 && ftruncate(file, sizeof *tally) == 0)
    mapped = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) {
    perror(path);
    exit(1);
  }
  close(file);
  tally = mapped;
}

/* FUZZ_PLAIN: a TAP without virtio header, so that the stack computes all checksums. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  const char *path = getenv("FUZZ_TALLY");
  if (path) share_tally(path);
  atexit(report);
  start(getenv("FUZZ_PLAIN") == NULL);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  random_seed(1); /* a finding must be reproducible */
  add_one(&tally->inputs);
  run(data, (uint32_t)size);
  return 0;
}

/* ---- mutation of whole steps ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static uint32_t random_state;
static uint32_t below(uint32_t limit) {
  random_state = mix(random_state + 0x9e3779b9u);
  return limit ? (random_state >> 4) % limit : 0;
}

static struct step random_step(void) {
  struct step step;
  uint8_t *bytes = (uint8_t *)&step;
  for (size_t i = 0; i < sizeof step; i++) bytes[i] = (uint8_t)below(256);
  if (below(2)) step.skew = (int16_t)(below(3000) - 1500);
  if (below(2)) step.ack_skew = (int16_t)(below(64) - 32);
  return step;
}

static size_t insert(struct step *steps, size_t count, size_t most, const struct step *more,
                     size_t length) {
  if (count + length > most) return count;
  size_t where = below((uint32_t)count + 1);
  memmove(steps + where + length, steps + where, (count - where) * sizeof *steps);
  memcpy(steps + where, more, length * sizeof *more);
  return count + length;
}

/* The steps that open a connection, so that the steps that follow have one. */
static size_t insert_handshake(struct step *steps, size_t count, size_t most) {
  uint8_t tuple = (uint8_t)below(TUPLES);
  struct step opening[] = {
      {.operation = 11, .tuple = tuple, .flags = 0, .choice = (uint8_t)(below(4) << 4), .window = 64240},
      {.operation = 6},
      {.operation = 10, .tuple = tuple, .window = 502},
      {.operation = 11, .tuple = tuple, .flags = 3, .choice = 0xf4, .length = (uint16_t)below(1460), .window = 502},
      {.operation = 6, .flags = 3},
  };
  return insert(steps, count, most, opening, sizeof opening / sizeof *opening);
}

static size_t mutate_steps(struct step *steps, size_t count, size_t most) {
  struct step copy[8];
  size_t from = below((uint32_t)count), length = 1 + below(8);
  if (length > count - from) length = count - from;
  switch (count == 0 ? 0 : below(10)) {
    case 0: return insert_handshake(steps, count, most);
    case 1:
    case 2: {
      struct step step = random_step();
      return insert(steps, count, most, &step, 1);
    }
    case 3: /* remove steps */
      memmove(steps + from, steps + from + length, (count - from - length) * sizeof *steps);
      return count - length;
    case 4: /* repeat steps */
      memcpy(copy, steps + from, length * sizeof *steps);
      return insert(steps, count, most, copy, length);
    case 5: { /* swap two steps */
      size_t to = below((uint32_t)count);
      struct step swapped = steps[to];
      steps[to] = steps[from];
      steps[from] = swapped;
      return count;
    }
    case 6: steps[from].operation = (uint8_t)below(16); return count;
    case 7: steps[from].skew = (int16_t)(below(256) - 128); return count;
    default:
      LLVMFuzzerMutate((uint8_t *)&steps[from], sizeof *steps, sizeof *steps);
      return count;
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
  struct step *steps = (struct step *)data;
  size_t count = size / sizeof *steps;
  random_state = seed;
  do count = mutate_steps(steps, count, most / sizeof *steps);
  while (below(2));
  return count * sizeof *steps;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t most, unsigned int seed) {
  random_state = seed;
  size_t head = below((uint32_t)(one_size / sizeof(struct step)) + 1) * sizeof(struct step);
  size_t tail = below((uint32_t)(other_size / sizeof(struct step)) + 1) * sizeof(struct step);
  if (head > most) head = most / sizeof(struct step) * sizeof(struct step);
  if (tail > most - head) tail = (most - head) / sizeof(struct step) * sizeof(struct step);
  memcpy(out, one, head);
  memcpy(out + head, other + other_size / sizeof(struct step) * sizeof(struct step) - tail, tail);
  return head + tail;
}
#endif
