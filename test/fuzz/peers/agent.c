/* The agent's requests, from a peer that may send anything, in a network namespace of our own. */
#include "../../../native/src/agent/agent.c"

#include <netinet/in.h>

#include <linux/rtnetlink.h>

#include "peer.h"

/* The agent's descriptors are SOCKET and TUN; this is the other end. */
static int peer;

enum {
  NAMESPACE_INPUTS = 2048, /* addresses and routes get many */
  TAP_INPUTS = 512,        /* making and removing an interface takes 20 ms */
};

static const uint16_t types[] = {RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_GETLINK, RTM_DELLINK,
                                 RTM_NEWNEIGH};

/* For most inputs, another device or one that is in use. */
static void open_tun(bool is_fresh) {
  static int used = -1;
  if (used < 0) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    used = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    strcpy(request.ifr_name, "used");
    if (ioctl(used, TUNSETIFF, &request) < 0) give_up("/dev/net/tun");
  }
  int tun = is_fresh ? open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK) : used;
  if (dup2(tun, TUN) < 0) give_up("dup2");
  if (is_fresh) close(tun);
  tun_error = 0;
}

static size_t put_attributes(struct input *input, uint8_t *bytes, size_t at, size_t most) {
  for (int count = take_byte(input) % 6; count > 0 && at + 64 < most; count--) {
    struct rtattr head = {.rta_type = take_byte(input)};
    uint8_t value[32];
    size_t length = take_byte(input) % sizeof(value);
    for (size_t i = 0; i < length; i++) value[i] = take_byte(input);
    uint8_t lie = take_byte(input);
    head.rta_len = (uint16_t)(RTA_LENGTH(length) + (lie > 250 ? lie : 0));
    memcpy(bytes + at, &head, sizeof(head));
    memcpy(bytes + at + sizeof(head), value, length);
    at += RTA_ALIGN(RTA_LENGTH(length));
  }
  return at;
}

/* A nearly valid message. */
static size_t put_netlink(struct input *input, uint8_t *bytes, size_t most) {
  static const size_t bodies[] = {sizeof(struct ifinfomsg), sizeof(struct ifaddrmsg),
                                  sizeof(struct rtmsg)};
  uint8_t kind = take_byte(input);
  struct nlmsghdr header = {.nlmsg_type = types[kind % 6]};
  header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK);
  if ((kind & 64) != 0) header.nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
  if ((kind & 128) != 0) header.nlmsg_flags ^= (uint16_t)(1 << (take_byte(input) % 12));
  size_t at = sizeof(header);
  for (size_t i = 0; i < bodies[kind % 3]; i++) bytes[at++] = take_byte(input);
  at = put_attributes(input, bytes, at, most);
  uint8_t lie = take_byte(input);
  header.nlmsg_len = (uint32_t)at + (lie > 240 ? lie - 248u : 0);
  memcpy(bytes, &header, sizeof(header));
  return at;
}

static void send_request(struct input *input) {
  static struct {
    struct agent_request request;
    uint8_t rest[64];
  } message;
  struct agent_request *request = &message.request;
  uint8_t shape = take_byte(input);
  memset(request, 0, offsetof(struct agent_request, payload));
  request->operation = shape % 5;
  for (int i = 0; i < 3; i++) request->numbers[i] = take_byte(input) % 20;
  size_t length = (shape & 32) != 0 && request->operation == AGENT_NETLINK
                      ? put_netlink(input, request->payload, sizeof(request->payload))
                      : take_bytes(input, request->payload, sizeof(request->payload) + 32);
  request->length = (uint32_t)length;
  size_t sent = offsetof(struct agent_request, payload) + length;
  if ((shape & 64) != 0) request->length = take_word(input);
  if ((shape & 128) != 0) sent = take_byte(input) + (sent > 4096 ? sent - 128 : 0);
  send_from(input, peer, &message, sent);
}

/* The answer is a TAP, or a socket of the table. */
static void check_descriptor(int fd) {
  int32_t is[3];
  struct ifreq request = {0};
  if (ioctl(fd, TUNGETIFF, &request) == 0) return;
  socklen_t length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &is[0], &length) < 0) found("no socket");
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &is[1], &length);
  getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &is[2], &length);
  bool is_plain = (is[0] == AF_INET || is[0] == AF_INET6) &&
                  ((is[1] == SOCK_STREAM && is[2] == IPPROTO_TCP) ||
                   (is[1] == SOCK_DGRAM && is[2] == IPPROTO_UDP));
  bool is_diag = is[0] == AF_NETLINK && is[2] == NETLINK_SOCK_DIAG;
  if (!is_plain && !is_diag) found("a socket that is not allowed");
}

static void check_answer(void) {
  struct agent_reply reply;
  int fd;
  if (receive_with(peer, &reply, sizeof(reply), &fd) != sizeof(reply)) found("no answer");
  if (reply.step >= STEP_COUNT || reply.result < -4095) found("an answer that is none");
  if (fd < 0) return;
  if (reply.result != 0) found("a descriptor with a failure");
  check_descriptor(fd);
  close(fd);
}

static void make_pair(void) {
  int pair[2];
  if (process_socketpair(pair) < 0) give_up("socketpair");
  if (dup2(pair[1], SOCKET) < 0) give_up("dup2");
  close(pair[1]);
  peer = pair[0];
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  start_tally();
  enter_own_namespaces();
  make_pair();
  open_tun(true);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int baseline = lowest_free();
  static unsigned count;
  static struct agent_request request;
  if (++count % NAMESPACE_INPUTS == 0 && unshare(CLONE_NEWNET) < 0) give_up("unshare");
  open_tun(count % TAP_INPUTS == 0);
  tally->inputs++;
  for (int i = 0; i < 32 && input.left > 0; i++) {
    send_request(&input);
    ssize_t received = process_recv(SOCKET, &request, sizeof(request));
    if (received <= 0) continue; /* where it would end */
    answer(SOCKET, serve_received(&request, (size_t)received));
    check_answer();
  }
  open_tun(false);
  if (lowest_free() != baseline) found("a descriptor was left open, or one too many closed");
  return 0;
}
