/*
 * Hostile frames and datagrams against what cuts and joins them for tunnels: wasm/src/split.c and
 * join.c, natively under ASan and UBSan. What they make is checked: every piece lies where it may, all
 * bytes are accounted for, and what was cut has right checksums and lengths.
 *
 * The input: a byte that says what is asked for, then for split a frame with its virtio header, for join
 * records (struct record) each followed by a datagram. A record may have the datagram's checksums made
 * right, or ask for the next segment of the one before instead: no fuzzer guesses those.
 *
 * Linked without PIE: I/O vectors hold 32-bit addresses, as in WASM.
 */
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "platform.h"

int32_t split(const uint8_t *frame, uint32_t length, uint32_t flags, uint32_t vni, uint32_t mtu,
              double destination, double source);
int32_t split_next(void);
uint32_t split_iov_at(void);
uint32_t split_result_at(void);
uint32_t join(uint32_t count, uint32_t flags);
uint32_t join_input_at(void);
uint32_t join_frames_at(void);
uint32_t join_refusals_at(void);

#define expect(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
      abort(); \
    } \
  } while (0)

enum { ROOM = 1 << 20, MTU = 65535, ETHERNET = 14, VXLAN = 8 };

static uint8_t arena[ROOM] __attribute__((aligned(64)));
static uint8_t gathered[70000];

static uint8_t *pointer(uint32_t offset) { return (uint8_t *)(uintptr_t)offset; }
static uint32_t big16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* RFC 1071 by the letter. */
static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

static uint32_t ip_header(const uint8_t *ip) { return ip[0] >> 4 == 6 ? 40 : (ip[0] & 15u) * 4; }

static uint32_t transport_sum(const uint8_t *ip, uint32_t length, uint8_t protocol, uint32_t at) {
  uint32_t sum = sum_of(protocol + length - at, ip[0] >> 4 == 6 ? ip + 8 : ip + 12,
                        ip[0] >> 4 == 6 ? 32 : 8);
  return sum_of(sum, ip + at, length - at);
}

/* ---- split ---- */

/* A segment of a superframe without extension headers. */
static void check_segment(const uint8_t *ip, uint32_t length) {
  bool v6 = ip[0] >> 4 == 6;
  expect(length == (v6 ? 40 + big16(ip + 4) : big16(ip + 2)));
  expect(v6 || sum_of(0, ip, ip_header(ip)) == 0xffff);
  uint8_t protocol = v6 ? ip[6] : ip[9];
  if (protocol != 6 && protocol != 17) return;
  expect(transport_sum(ip, length, protocol, ip_header(ip)) == 0xffff);
}

static void check_batch(uint32_t count, const uint8_t *frame, uint32_t length, uint32_t flags) {
  const struct iov *pieces = (const struct iov *)pointer(split_iov_at());
  const uint32_t *result = (const uint32_t *)pointer(split_result_at());
  uint32_t first = (uint32_t)(uintptr_t)frame, front = flags & ABI_TUNNEL_IP ? 0 : VXLAN + ETHERNET;
  uint32_t total = 0;
  expect(count > 0 && count <= ABI_SPLIT_MOST);
  for (uint32_t i = 0; i < count; i++) {
    struct iov header = pieces[2 * i], payload = pieces[2 * i + 1];
    expect(payload.base - first <= length && payload.base - first + payload.length <= length);
    uint32_t bytes = header.length + payload.length;
    expect(i + 1 == count ? bytes == result[ABI_SPLIT_LAST_SIZE] : bytes == result[ABI_SPLIT_SIZE]);
    expect(bytes >= front && bytes <= result[ABI_SPLIT_SIZE]);
    total += bytes;
    memcpy(gathered, pointer(header.base), header.length);
    memcpy(gathered + header.length, frame + (payload.base - first), payload.length);
    if (result[ABI_SPLIT_IS_GSO]) check_segment(gathered + front, bytes - front);
  }
  expect(total <= ABI_SPLIT_BYTES);
}

static void run_split(uint8_t flags, const uint8_t *data, size_t size) {
  if (size < ABI_VNET_HEADER_SIZE) return;
  /* Of its very size, so that what is read behind it is found. */
  uint8_t *frame = malloc(size);
  memcpy(frame, data, size);
  const uint8_t *ethernet = frame + ABI_VNET_HEADER_SIZE;
  uint32_t length = (uint32_t)size - ABI_VNET_HEADER_SIZE;
  int32_t count = split(ethernet, length, flags & 7, 0xabcdef, MTU, 2199023255705.0, 2.0);
  expect(count != 0 && count > -ABI_REFUSED_COUNT);
  for (; count > 0; count = split_next())
    check_batch((uint32_t)count, ethernet, length, flags & 7);
  expect(memcmp(frame, data, size) == 0);
  expect(split_next() == 0);
  free(frame);
}

/* ---- join ---- */

struct record {
  uint16_t length;
  uint8_t traffic_class, options;
};
enum { RIGHT = 1, NEXT = 2, SHORTER = 4 };

static uint32_t front_of(uint32_t flags) { return flags & ABI_TUNNEL_IP ? 0 : VXLAN + ETHERNET; }

/* Makes lengths and checksums of a datagram right, as far as it has plain headers. */
static void make_right(uint8_t *datagram, uint32_t length, uint32_t front) {
  if (length < front + 40) return;
  uint8_t *ip = datagram + front;
  uint32_t size = length - front;
  bool v6 = ip[0] >> 4 == 6;
  uint32_t header = ip_header(ip);
  if (header < 20 || header + 20 > size) return;
  if (v6) ip[4] = (uint8_t)((size - 40) >> 8), ip[5] = (uint8_t)(size - 40);
  else ip[2] = (uint8_t)(size >> 8), ip[3] = (uint8_t)size, ip[10] = ip[11] = 0;
  uint32_t sum = v6 ? 0 : ~sum_of(0, ip, header);
  if (!v6) ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
  uint8_t protocol = v6 ? ip[6] : ip[9], *transport = ip + header;
  if (protocol != 6 && protocol != 17) return;
  uint8_t *field = transport + (protocol == 6 ? 16 : 6);
  if (protocol == 17) transport[4] = (uint8_t)((size - header) >> 8);
  if (protocol == 17) transport[5] = (uint8_t)(size - header);
  field[0] = field[1] = 0;
  sum = ~transport_sum(ip, size, protocol, header);
  field[0] = (uint8_t)(sum >> 8), field[1] = (uint8_t)sum;
}

/* Makes a segment to that behind it. */
static void advance(uint8_t *datagram, uint32_t length, uint32_t front) {
  if (length < front + 40) return;
  uint8_t *ip = datagram + front, *tcp = ip + ip_header(ip);
  if (tcp + 20 > datagram + length) return;
  uint32_t header = (tcp[12] >> 4) * 4u, before = (uint32_t)(tcp - datagram);
  if (before + header > length) return;
  uint32_t sequence = (big16(tcp + 4) << 16 | big16(tcp + 6)) + length - before - header;
  for (int i = 0; i < 4; i++) tcp[4 + i] = (uint8_t)(sequence >> (24 - 8 * i));
  if (ip[0] >> 4 == 4 && ++ip[5] == 0) ip[4]++;
}

static bool is_in(uint32_t at, uint32_t length, const void *area, uint32_t size) {
  uint32_t start = (uint32_t)(uintptr_t)area;
  return at >= start && at - start <= size && length <= size - (at - start);
}

static void check_frame(const uint32_t *entry, uint32_t flags) {
  const struct iov *pieces = (const struct iov *)pointer(entry[ABI_JOIN_IOV]);
  uint32_t vnet = flags & ABI_TUNNEL_VNET ? ABI_VNET_HEADER_SIZE : 0, total = 0;
  expect(entry[ABI_JOIN_IOV_COUNT] >= 1 && entry[ABI_JOIN_IOV_COUNT] <= 1 + ABI_JOIN_MOST);
  expect(pieces[0].base == entry[ABI_JOIN_ETHERNET] - vnet);
  expect(pieces[0].length == entry[ABI_JOIN_HEADER_SIZE] + vnet);
  for (uint32_t i = 0; i < entry[ABI_JOIN_IOV_COUNT]; i++) {
    if (i > 0) expect(is_in(pieces[i].base, pieces[i].length, arena, ROOM));
    if (i > 0) expect(!__asan_region_is_poisoned(pointer(pieces[i].base), pieces[i].length));
    total += pieces[i].length;
  }
  expect(total == entry[ABI_JOIN_LENGTH] + vnet);
  if (entry[ABI_JOIN_DATAGRAMS] == 1) return;
  const uint8_t *ip = pointer(entry[ABI_JOIN_ETHERNET]) + ETHERNET;
  uint32_t length = entry[ABI_JOIN_LENGTH] - ETHERNET;
  expect(length == (ip[0] >> 4 == 6 ? 40 + big16(ip + 4) : big16(ip + 2)));
  expect(ip[0] >> 4 == 6 || sum_of(0, ip, 20) == 0xffff);
}

static uint32_t read_records(const uint8_t *data, size_t size, uint32_t front) {
  uint32_t *input = (uint32_t *)pointer(join_input_at());
  uint32_t count = 0, at = 0, before = 0, length = 0;
  while (size >= sizeof(struct record) && count < ABI_JOIN_MOST) {
    struct record record;
    memcpy(&record, data, sizeof record);
    data += sizeof record, size -= sizeof record;
    bool is_next = record.options & NEXT && count > 0;
    if (!is_next) length = record.length > size ? (uint32_t)size : record.length;
    if (at + length + 16 > ROOM) break;
    __asan_unpoison_memory_region(arena + at, length);
    memcpy(arena + at, is_next ? arena + before : data, length);
    if (!is_next) data += length, size -= length;
    if (is_next) advance(arena + at, length, front);
    if (is_next && record.options & SHORTER && length > front + 60) {
      length--;
      __asan_poison_memory_region(arena + at + length, 1);
    }
    if (record.options & RIGHT) make_right(arena + at, length, front);
    uint32_t *given = input + count++ * ABI_JOIN_INPUT_WORDS;
    given[0] = (uint32_t)(uintptr_t)(arena + at), given[1] = length;
    given[2] = record.traffic_class;
    before = at;
    /* Poison is exact where a datagram begins at a multiple of 8. */
    at += (length + 15) & ~7u;
  }
  return count;
}

static void run_join(uint8_t flags, const uint8_t *data, size_t size) {
  __asan_poison_memory_region(arena, ROOM);
  uint32_t count = read_records(data, size, front_of(flags));
  uint32_t made = join(count, flags), datagrams = 0;
  const uint32_t *entries = (const uint32_t *)pointer(join_frames_at());
  for (uint32_t i = 0; i < made; i++) {
    check_frame(entries + i * ABI_JOIN_FRAME_WORDS, flags);
    datagrams += entries[i * ABI_JOIN_FRAME_WORDS + ABI_JOIN_DATAGRAMS];
  }
  const uint32_t *refusals = (const uint32_t *)pointer(join_refusals_at());
  uint32_t refused = 0;
  for (uint32_t i = 1; i < ABI_REFUSED_COUNT; i++) refused += refusals[i];
  expect(refused == refusals[0] && refused + datagrams == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  if (data[0] & 0x80) run_join(data[0] & 15, data + 1, size - 1);
  else run_split(data[0], data + 1, size - 1);
  return 0;
}
