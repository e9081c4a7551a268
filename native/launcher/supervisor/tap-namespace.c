#include "tap-namespace.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/agent/agent.h"
#include "../../src/os/netns.h"
#include "../../src/os/process.h"

/* Since Linux 5.7: the network namespace of a TAP; needs CAP_NET_ADMIN over it. */
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

/* Returns a socket in the agent's namespace, or -1. */
static int socket_by(const struct agent *agent) {
  struct agent_request request = {
      .operation = AGENT_SOCKET,
      .numbers = {AF_INET, SOCK_DGRAM, 0},
  };
  struct agent_reply reply;
  int fd = -1;
  if (process_recv_fd(agent->socket, &reply, sizeof(reply), 0, &fd) != sizeof(reply)) return -1;
  if (reply.result < 0) return -1; /* it could not enter */
  process_send(agent->socket, &request, offsetof(struct agent_request, payload));
  if (process_recv_fd(agent->socket, &reply, sizeof(reply), 0, &fd) != sizeof(reply)) return -1;
  return fd;
}

/* Since Linux 5.14. 0: unknown. */
static uint64_t cookie_of(int netns) {
  char path[32];
  struct agent agent;
  enum step step;
  uint64_t cookie = 0;
  snprintf(path, sizeof(path), "/proc/self/fd/%d", netns);
  if (agent_start("", path, process_fork, &agent, &step) < 0) return 0;
  int socket = socket_by(&agent);
  if (socket < 0 || netns_cookie(socket, &cookie) < 0) cookie = 0;
  if (socket >= 0) close(socket);
  close(agent.socket);
  process_reap(agent.pid);
  return cookie;
}

struct namespace tap_namespace(int tap) {
  struct namespace in = {0};
  struct stat status;
  int netns = ioctl(tap, TUNGETDEVNETNS);
  if (netns < 0) return in;
  if (fstat(netns, &status) == 0) {
    in = (struct namespace){status.st_dev, status.st_ino, cookie_of(netns)};
  }
  close(netns);
  return in;
}
