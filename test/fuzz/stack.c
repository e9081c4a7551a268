/*
 * The glue and lwIP, compiled natively, under libFuzzer with ASan and UBSan.
 *
 * The input is a list of steps of a hostile guest and a busy host: raw frames, TCP segments with
 * live sequence numbers, and the calls that TypeScript makes. Segments claim a partial checksum,
 * as a guest's kernel does, so that the fuzzer need not guess sums.
 *
 * Linked without PIE: I/O vectors hold 32-bit addresses, as in WASM.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "heap.h"
#include "platform.h"

void stack_init(uint32_t mtu, uint32_t offload, uint32_t budget, uint32_t mac_high,
                uint32_t mac_low, uint32_t seed_high, uint32_t seed_low);
uint32_t stack_events_at(void), stack_iov_at(void), stack_addresses_at(void), stack_buffer(void);
uint32_t stack_buffer_take(void), stack_take_events(void), stack_tick(void), stack_flush_acks(void);
uint32_t stack_flow_reserved_at(void), stack_flow_count(void);
void stack_buffer_give(uint8_t *buffer);
int32_t stack_input(uint32_t length);
uint32_t stack_flow_accept(uint32_t id), stack_flow_pending(uint32_t id);
int32_t stack_flow_reserve(uint32_t id);
int32_t stack_flow_connect(uint32_t family, uint32_t ports, uint32_t high, uint32_t low);
void stack_flow_refuse(uint32_t id), stack_flow_consumed(uint32_t id, uint32_t length);
void stack_flow_commit(uint32_t id, uint32_t length), stack_flow_finish(uint32_t id);
void stack_flow_reset(uint32_t id), stack_flow_release(uint32_t id);

/* The receive buffer, the block for the next bytes of the host, lwIP's listener. */
#define BLOCKS_AT_REST 3
#define TUPLES 8
#define IDS 64

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

/* What a guest's kernel would know of each connection. */
static struct {
  uint32_t sequence, acknowledge;
} guest[TUPLES];

static uint8_t states[IDS]; /* 0 free, 1 SYN held, 2 live, 3 ended */

struct input {
  const uint8_t *at, *end;
};

static uint32_t take(struct input *input, uint32_t bytes) {
  uint32_t value = 0;
  for (; bytes > 0 && input->at < input->end; bytes--) value = value << 8 | *input->at++;
  return value;
}

static void *at(uint32_t address) { return (void *)(uintptr_t)address; }

/* Learns the numbers a guest needs to answer; reads every byte, so that ASan sees them all. */
int32_t transmit(const struct iov *pieces, uint32_t count) {
  static uint8_t frame[1 << 17];
  uint32_t length = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (length + pieces[i].length > sizeof frame) abort();
    memcpy(frame + length, at(pieces[i].base), pieces[i].length);
    length += pieces[i].length;
  }
  if (length < 64 || frame[22] != 8) return 0;
  const uint8_t *tcp = frame + 24 + 20;
  uint32_t index = ((uint32_t)tcp[2] << 8 | tcp[3]) % TUPLES;
  uint32_t sequence = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
  uint32_t payload = length - 24 - 20 - (tcp[12] >> 4) * 4u;
  guest[index].acknowledge = sequence + payload + ((tcp[13] & (SYN | FIN)) != 0);
  return 0;
}

static void put32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void raw_frame(struct input *input) {
  uint32_t length = take(input, 2) % 2048;
  uint8_t *buffer = at(stack_buffer());
  uint32_t given = (uint32_t)(input->end - input->at);
  if (length > given) length = given;
  memcpy(buffer, input->at, length);
  input->at += length;
  stack_input(length);
}

/* Mostly what TCP sends, now and then anything. */
static uint32_t flags_of(uint32_t choice) {
  static const uint8_t usual[] = {SYN, ACK, ACK, ACK | PSH, ACK | PSH, ACK | FIN, RST, ACK | URG};
  return choice < 0xe0 ? usual[choice % 8] : choice;
}

static void segment(struct input *input) {
  uint32_t index = take(input, 1) % TUPLES, flags = flags_of(take(input, 1));
  uint32_t options = take(input, 1) % 41, payload = flags & SYN ? 0 : take(input, 2) % 4000;
  int32_t skew = (int8_t)take(input, 1), ack_skew = (int8_t)take(input, 1);
  uint8_t *frame = at(stack_buffer()), *ip = frame + 24, *tcp = ip + 20;
  options &= ~3u;
  uint32_t total = 20 + 20 + options + payload;
  memset(frame, 0, 24 + 40 + options + payload);
  frame[0] = 1;
  frame[22] = 8;
  ip[0] = 0x45;
  ip[2] = (uint8_t)(total >> 8);
  ip[3] = (uint8_t)total;
  ip[8] = 64;
  ip[9] = 6;
  put32(ip + 12, 0x0a000264);
  put32(ip + 16, 0xcb007107);
  uint32_t port = 40000 + index;
  tcp[0] = (uint8_t)(port >> 8);
  tcp[1] = (uint8_t)port;
  tcp[3] = 80;
  put32(tcp + 4, guest[index].sequence + (uint32_t)skew * 100);
  put32(tcp + 8, guest[index].acknowledge + (uint32_t)ack_skew * 100);
  tcp[12] = (uint8_t)((5 + options / 4) << 4);
  tcp[13] = (uint8_t)flags;
  tcp[14] = (uint8_t)take(input, 1);
  tcp[15] = 0xff;
  tcp[18] = (uint8_t)take(input, 1); /* an urgent pointer, however wrong */
  for (uint32_t i = 0; i < options; i++) tcp[20 + i] = (uint8_t)take(input, 1);
  stack_input(24 + total);
  if (skew == 0) guest[index].sequence += payload + ((flags & (SYN | FIN)) != 0);
}

static void drain_events(void) {
  const uint32_t *events = at(stack_events_at());
  for (uint32_t count; (count = stack_take_events()) > 0;) {
    for (uint32_t i = 0; i < count; i++) {
      uint32_t id = events[2 * i];
      if (id >= IDS) {
        stack_flow_release(id);
        continue;
      }
      if (events[2 * i + 1] & ABI_EVENT_SYN) states[id] = 1;
      if (events[2 * i + 1] & (ABI_EVENT_CLOSED | ABI_EVENT_RESET)) states[id] = 3;
    }
  }
}

static void consume(uint32_t id, struct input *input) {
  const struct iov *pieces = at(stack_iov_at());
  uint32_t offered = 0, count = stack_flow_pending(id);
  volatile uint8_t sink = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *bytes = at(pieces[i].base);
    for (uint32_t b = 0; b < pieces[i].length; b++) sink ^= bytes[b];
    offered += pieces[i].length;
  }
  uint32_t part = take(input, 1);
  stack_flow_consumed(id, (uint32_t)((uint64_t)offered * part / 255));
}

static void receive(uint32_t id, struct input *input) {
  int32_t room = stack_flow_reserve(id);
  if (room <= 0) return;
  uint32_t length = take(input, 2) * (take(input, 1) % 4 + 1) % ((uint32_t)room + 1);
  memset(at(stack_flow_reserved_at()), 0x5a, length);
  stack_flow_commit(id, length);
}

static void connect_to_guest(struct input *input) {
  uint8_t *addresses = at(stack_addresses_at());
  put32(addresses, 0x0a000264);
  put32(addresses + 16, 0xcb007107);
  int32_t id = stack_flow_connect(4, 80u << 16 | (40000 + take(input, 1) % TUPLES), 1, 2);
  if (id >= IDS) stack_flow_release((uint32_t)id);
  else if (id >= 0) states[id] = 2;
}

static void release(uint32_t id) {
  stack_flow_release(id);
  states[id] = 0;
}

static void host_step(struct input *input) {
  uint32_t id = take(input, 1) % IDS;
  switch (take(input, 1) % 8) {
    case 0:
      if (states[id] == 1) states[id] = stack_flow_accept(id) ? 2 : 3;
      break;
    case 1:
      if (states[id] == 1) {
        stack_flow_refuse(id);
        release(id);
      }
      break;
    case 2: consume(id, input); break;
    case 3: receive(id, input); break;
    case 4: stack_flow_finish(id); break;
    case 5: stack_flow_reset(id); break;
    case 6:
      if (states[id] == 3) release(id);
      break;
    case 7: connect_to_guest(input); break;
  }
}

static void accept_all(void) {
  for (uint32_t id = 0; id < IDS; id++) {
    if (states[id] == 1) states[id] = stack_flow_accept(id) ? 2 : 3;
  }
}

/* Everything ends, TIME_WAIT too, and the memory must be back where it was. */
static void end_of_run(void) {
  for (uint32_t id = 0; id < 1024; id++) {
    stack_flow_reset(id);
    stack_flow_release(id);
  }
  drain_events();
  for (int ticks = 0; stack_tick() && ticks < 1000; ticks++) drain_events();
  stack_flush_acks();
  stack_flush_acks();
  if (stack_flow_count() != 0 || heap_blocks_in_use() > BLOCKS_AT_REST) abort();
  memset(states, 0, sizeof states);
  memset(guest, 0, sizeof guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, data + size};
  static int started;
  if (!started) stack_init(1500, 1, 4 * 1024 * 1024, 0x5255, 0x0a000202, 1, 2);
  started = 1;
  while (input.at < input.end) {
    switch (take(&input, 1) % 8) {
      case 0: raw_frame(&input); break;
      case 1:
      case 2: segment(&input); break;
      case 3: accept_all(); break;
      case 4:
      case 5: host_step(&input); break;
      case 6: stack_tick(); break;
      case 7: stack_flush_acks(); break;
    }
    drain_events();
  }
  end_of_run();
  return 0;
}
