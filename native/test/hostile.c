/*
 * A peer that keeps to no protocol: the launcher starts it instead of Node (SLIPWAY_NODE), so that it has
 * Node's socket to the real broker. ATTACK names what it does; a line of stdout tells each answer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "../src/agent/agent.h"
#include "../src/broker/protocol.h"
#include "../src/held/plan.h"
#include "send-with.h"

static int broker;
static const char *netns; /* of the namespace that TARGET names */

/* ---- messages ---------------------------------------------------------------------------------- */

static void send_to(int socket, const void *bytes, size_t length, const int *fds, size_t count) {
  if (send_with(socket, bytes, length, fds, count, 0) < 0) printf("unsent ");
}

struct answer {
  int32_t result;
  uint32_t step;
};

/* Says what came: "RESULT", with "+fd" when a descriptor did, or "end". Returns the descriptor or -1. */
static int hear(int socket, struct answer *answer) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {answer, sizeof(*answer)};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof(control)};
  ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  int fd = -1;
  const struct cmsghdr *part = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (part != NULL && part->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(part), sizeof(fd));
  if (length <= 0) {
    *answer = (struct answer){.result = -EPIPE};
    printf("end\n");
  } else {
    printf("%s%s\n", answer->result < 0 ? strerrorname_np(-answer->result) : "ok",
           fd >= 0 ? "+fd" : "");
  }
  fflush(stdout);
  return fd;
}

static int ask_broker(uint32_t operation, const char *first, const char *second, int fd) {
  struct broker_request request = {.operation = operation};
  struct answer answer;
  if (first != NULL) strcpy(request.paths[0], first);
  if (second != NULL) strcpy(request.paths[1], second);
  send_to(broker, &request, sizeof(request), &fd, fd >= 0);
  return hear(broker, &answer);
}

/* ---- an agent ------------------------------------------------------------------------------------ */

static int agent_socket;

static void start_agent(void) {
  struct answer entered;
  agent_socket = ask_broker(BROKER_AGENT, "", netns, -1);
  close(hear(agent_socket, &entered));
}

/* A request whose header says `said` bytes of payload, and which brings `sent`. */
static void ask_agent(uint32_t operation, const int32_t numbers[3], uint32_t said, const void *payload,
                      size_t sent) {
  struct agent_request request = {.operation = operation, .length = said};
  struct answer answer;
  if (numbers != NULL) memcpy(request.numbers, numbers, sizeof(request.numbers));
  if (sent > 0) memcpy(request.payload, payload, sent);
  send_to(agent_socket, &request, offsetof(struct agent_request, payload) + sent, NULL, 0);
  close(hear(agent_socket, &answer));
}

/* Whether it goes on to serve: the loopback interface is found. */
static void ask_for_loopback(void) {
  ask_agent(AGENT_IFINDEX, NULL, 3, "lo", 3);
}

static void names(void) {
  static const uint32_t operations[] = {AGENT_OPEN_TAP, AGENT_IFINDEX};
  char text[AGENT_PAYLOAD_MAX];
  start_agent();
  for (int i = 0; i < 2; i++) {
    memset(text, 'x', sizeof(text));
    ask_agent(operations[i], NULL, sizeof(text), text, sizeof(text)); /* without an end */
    ask_agent(operations[i], NULL, 16, text, 16);
    text[3000] = '\0';
    ask_agent(operations[i], NULL, 3001, text, 3001); /* longer than an interface's may be */
    ask_agent(operations[i], NULL, 0, NULL, 0);
    ask_agent(operations[i], NULL, 1, "", 1);
  }
  ask_for_loopback();
}

static void lengths(void) {
  start_agent();
  ask_for_loopback(); /* "lo" now lies where the next payload would */
  ask_agent(AGENT_IFINDEX, NULL, 3, NULL, 0);
  ask_agent(AGENT_IFINDEX, NULL, 2, "lo", 3);
  ask_agent(AGENT_IFINDEX, NULL, UINT32_MAX, "lo", 3);
  ask_agent(AGENT_IFINDEX, NULL, 3 + 4096, "lo", 3);
  struct answer answer;
  send_to(agent_socket, &(uint32_t){AGENT_IFINDEX}, sizeof(uint32_t), NULL, 0);
  close(hear(agent_socket, &answer));
  ask_agent(99, NULL, 0, NULL, 0);
  ask_for_loopback();
}

static void sockets(void) {
  static const int32_t triples[][3] = {
      {AF_UNIX, SOCK_DGRAM, 0},         {AF_UNIX, SOCK_STREAM, 0},
      {AF_INET, SOCK_RAW, 1},           {AF_INET6, SOCK_RAW, 58},
      {AF_INET, SOCK_DGRAM, 1},         {AF_INET, SOCK_STREAM, 262}, /* MPTCP */
      {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
      {AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG}, {AF_PACKET, SOCK_RAW, 0},
      {AF_VSOCK, SOCK_STREAM, 0},       {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0},
      {AF_INET, SOCK_STREAM, 0},        {AF_INET6, SOCK_DGRAM, 0},
      {AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG},
  };
  start_agent();
  for (size_t i = 0; i < sizeof(triples) / sizeof(triples[0]); i++) {
    ask_agent(AGENT_SOCKET, triples[i], 0, NULL, 0);
  }
}

struct netlink_message {
  struct nlmsghdr header;
  char rest[256];
};

static struct netlink_message message_of(uint16_t type, uint16_t flags, size_t body) {
  return (struct netlink_message){
      .header = {.nlmsg_len = (uint32_t)(sizeof(struct nlmsghdr) + body), .nlmsg_type = type,
                 .nlmsg_flags = NLM_F_REQUEST | flags}};
}

static void add_attribute(struct netlink_message *message, uint16_t type, const void *value,
                          size_t length) {
  struct rtattr head = {.rta_len = (uint16_t)RTA_LENGTH(length), .rta_type = type};
  char *at = (char *)message + message->header.nlmsg_len;
  memcpy(at, &head, sizeof(head));
  memcpy(at + sizeof(head), value, length);
  message->header.nlmsg_len += RTA_ALIGN(head.rta_len);
}

static void ask_netlink(const struct netlink_message *message) {
  ask_agent(AGENT_NETLINK, NULL, message->header.nlmsg_len, message, message->header.nlmsg_len);
}

/* A link of the kind "dummy": what Slipway never makes. */
static struct netlink_message dummy_link(void) {
  struct netlink_message message =
      message_of(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
  char kind[12] = "";
  struct rtattr head = {.rta_len = RTA_LENGTH(5), .rta_type = IFLA_INFO_KIND};
  memcpy(kind, &head, sizeof(head));
  memcpy(kind + sizeof(head), "dummy", 5);
  add_attribute(&message, IFLA_LINKINFO, kind, sizeof(kind));
  return message;
}

static void netlink(void) {
  struct netlink_message message;
  int loopback = 1;
  start_agent();
  message = message_of(RTM_GETLINK, NLM_F_ACK | NLM_F_DUMP, sizeof(struct ifinfomsg));
  ask_netlink(&message);
  message = message_of(RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  memcpy(message.rest + 4, &loopback, sizeof(loopback));
  ask_netlink(&message);
  message = message_of(RTM_DELLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  ask_netlink(&message);
  message = message_of(RTM_DELADDR, NLM_F_ACK | NLM_F_EXCL, sizeof(struct ifaddrmsg));
  ask_netlink(&message);
  message = dummy_link();
  ask_netlink(&message);
  message = message_of(RTM_NEWLINK, 0, sizeof(struct ifinfomsg)); /* no answer would come */
  ask_netlink(&message);
  message = message_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  memcpy(message.rest + 4, &loopback, sizeof(loopback));
  add_attribute(&message, IFLA_IFALIAS, "theirs", 6);
  ask_netlink(&message);
  message = message_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  message.header.nlmsg_len += 3; /* less than the head of an attribute */
  ask_netlink(&message);
  message = message_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  message.header.nlmsg_len = 24; /* within its body */
  ask_netlink(&message);
  message = message_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
  memcpy(message.rest + 4, &loopback, sizeof(loopback));
  ask_netlink(&message); /* this one is right */
}

/* The second of two is refused, and a name that can't be had leaves the first one to be had. */
static void taps(void) {
  start_agent();
  ask_agent(AGENT_OPEN_TAP, (int32_t[]){1, 0, 0}, 4, "a/b", 4);
  ask_agent(AGENT_OPEN_TAP, (int32_t[]){1, 0, 0}, 6, "taken", 6);
  ask_agent(AGENT_OPEN_TAP, (int32_t[]){1, 0, 0}, 6, "other", 6);
  ask_for_loopback();
}

/* Tells the agent's pid, and lets it be looked at until stdin ends. */
static void look(void) {
  struct broker_request request = {.operation = BROKER_AGENT};
  struct answer answer;
  char end;
  strcpy(request.paths[1], netns);
  send_to(broker, &request, sizeof(request), NULL, 0);
  agent_socket = hear(broker, &answer);
  printf("%d\n", answer.result);
  close(hear(agent_socket, &answer));
  if (read(STDIN_FILENO, &end, 1) < 0) exit(1);
}

/* A message that is longer than any request ends it: it is never cut to one. */
static void oversized_to_agent(void) {
  static char bytes[sizeof(struct agent_request) + 1];
  struct answer answer;
  start_agent();
  send_to(agent_socket, bytes, sizeof(bytes), NULL, 0);
  close(hear(agent_socket, &answer));
}

/* ---- the broker ---------------------------------------------------------------------------------- */

static void paths(void) {
  static const uint32_t operations[] = {BROKER_AGENT, BROKER_SAME, BROKER_KEEP};
  struct answer answer;
  for (int i = 0; i < 3; i++) {
    for (int which = 0; which < 2; which++) {
      struct broker_request request = {.operation = operations[i]};
      memset(request.paths[which], 'x', BROKER_PATH_CAPACITY);
      send_to(broker, &request, sizeof(request), NULL, 0);
      hear(broker, &answer);
    }
  }
  ask_broker(99, NULL, NULL, -1);
  ask_broker(BROKER_SAME, "/", "/", -1);
}

static void oversized_to_broker(void) {
  static char bytes[sizeof(struct broker_request) + 1];
  struct answer answer;
  send_to(broker, bytes, sizeof(bytes), NULL, 0);
  hear(broker, &answer);
}

static int count_descriptors(pid_t pid) {
  char path[32];
  int count = 0;
  snprintf(path, sizeof(path), "/proc/%d/fd", pid);
  DIR *directory = opendir(path);
  while (directory != NULL && readdir(directory) != NULL) count++;
  if (directory != NULL) closedir(directory);
  return count;
}

static pid_t broker_pid(void) {
  int pid = 0;
  FILE *children = fopen("/proc/thread-self/children", "re");
  if (children == NULL || fscanf(children, "%d", &pid) != 1) printf("no broker\n");
  if (children != NULL) fclose(children);
  return pid;
}

/* As many descriptors with each message as may fit the padding of its buffer, and more. */
static void descriptors(void) {
  int fds[16];
  struct answer answer;
  pid_t pid = broker_pid();
  for (size_t i = 0; i < 16; i++) fds[i] = STDIN_FILENO;
  ask_broker(BROKER_SAME, "/", "/", -1);
  int before = count_descriptors(pid);
  for (size_t count = 1; count <= 16; count++) {
    struct broker_request request = {.operation = BROKER_SAME, .paths = {"/", "/"}};
    send_to(broker, &request, sizeof(request), fds, count);
    hear(broker, &answer);
  }
  printf("%d more\n", count_descriptors(pid) - before);
}

/* What is no memfd, or one that could change while it is read. */
static void no_plans(void) {
  int pair[2];
  int left = memfd_create("plan", MFD_ALLOW_SEALING);
  if (pipe(pair) < 0 || write(left, "plan", 4) < 0) exit(1);
  int others[] = {-1, pair[0], open("/", O_RDONLY | O_DIRECTORY), open("/proc/self/exe", O_RDONLY),
                  broker, left};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    ask_broker(BROKER_SPAWN, NULL, NULL, others[i]);
  }
  int sparse = memfd_create("plan", MFD_ALLOW_SEALING);
  if (ftruncate(sparse, INT64_C(1) << 40) < 0) exit(1);
  fcntl(sparse, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  ask_broker(BROKER_SPAWN, NULL, NULL, sparse);
}

/* A plan as plan.c has it, whose header and bytes may be changed before it is sealed. */
struct plan_bytes {
  char bytes[8192];
  size_t length;
};

static struct plan_bytes good_plan(void) {
  struct held_plan plan = {
      .file = "true",
      .argv = (char *[]){"true", NULL},
      .env = (char *[]){"A=b", NULL},
      .uid_map = "0 0 1",
      .gid_map = "0 0 1",
      .outer_uid_map = "0 0 1",
      .outer_gid_map = "0 0 1",
      .own_pids = true,
      .hidden = (char *[]){"/nonexistent", NULL},
      .keep = (int[]){-1},
      .ignore = (int[]){-1},
  };
  struct plan_bytes result;
  int fd = plan_write(&plan);
  result.length = (size_t)pread(fd, result.bytes, sizeof(result.bytes), 0);
  close(fd);
  return result;
}

static void spawn(const struct plan_bytes *plan) {
  int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (write(fd, plan->bytes, plan->length) < 0) exit(1);
  fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  int control = ask_broker(BROKER_SPAWN, NULL, NULL, fd);
  close(fd);
  if (control >= 0) close(control); /* the child ends */
}

static void spawn_with_number(size_t at, uint32_t number) {
  struct plan_bytes plan = good_plan();
  memcpy(plan.bytes + at, &number, sizeof(number));
  spawn(&plan);
}

/* The counts come first, and the maps as text: see the header of plan.c. */
static void plans(void) {
  struct plan_bytes plan = good_plan();
  for (size_t count = 0; count < 5; count++) {
    spawn_with_number(count * sizeof(uint32_t), 0);
    spawn_with_number(count * sizeof(uint32_t), 3);
    spawn_with_number(count * sizeof(uint32_t), UINT32_MAX);
  }
  char *map = memmem(plan.bytes, plan.length, "0 0 1", 5);
  memset(map, '0', sizeof(((struct held_plan *)0)->uid_map));
  spawn(&plan);
  plan = good_plan();
  plan.bytes[plan.length++] = 'x';
  spawn(&plan);
  plan = good_plan();
  plan.length--;
  spawn(&plan);
  plan.length = 10;
  spawn(&plan);
  plan.length = 0;
  spawn(&plan);
  plan = good_plan();
  spawn(&plan);
}

/* ---- the keeper ------------------------------------------------------------------------------- */

/* A path that is none of a socket is not removed at the end. */
static void keeper(void) {
  struct answer answer;
  const char *file = getenv("FILE");
  ask_broker(BROKER_KEEP, "/etc/resolv.conf", file, -1);
  for (int i = 0; i < 3; i++) {
    send_to(broker, "", 1, &(int){STDIN_FILENO}, 1);
    recv(broker, &answer, sizeof(answer), 0);
  }
  printf("%d descriptors\n", count_descriptors(broker_pid()));
  shutdown(broker, SHUT_WR);
  wait(NULL);
  printf("%s\n", access(file, F_OK) == 0 ? "left" : "removed");
}

static const struct attack {
  const char *name;
  void (*run)(void);
} attacks[] = {
    {"names", names},
    {"lengths", lengths},
    {"sockets", sockets},
    {"netlink", netlink},
    {"taps", taps},
    {"look", look},
    {"oversized-to-agent", oversized_to_agent},
    {"paths", paths},
    {"oversized-to-broker", oversized_to_broker},
    {"descriptors", descriptors},
    {"no-plans", no_plans},
    {"plans", plans},
    {"keeper", keeper},
};

int main(void) {
  static char path[64];
  const char *attack = getenv("ATTACK");
  const char *socket = getenv("SLIPWAY_BROKER");
  if (attack == NULL || socket == NULL) return 1;
  broker = atoi(socket);
  snprintf(path, sizeof(path), "/proc/%s/ns/net", getenv("TARGET"));
  netns = path;
  for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
    if (strcmp(attacks[i].name, attack) == 0) attacks[i].run();
  }
  return 0;
}
