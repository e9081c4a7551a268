/* The child's side. After a fork of a process with threads: async-signal-safe calls only. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/netlink.h>

#include "confine.h"
#include "failure.h"
#include "filter.h"
#include "process.h"
#include "tap.h"
#include "targets.h"

enum { NETLINK_TIMEOUT_SECONDS = 5 };

/*
 * All that it ever does again; it rules in somebody's namespaces, and may live as long as we do.
 *
 * #syscalls agent: recvfrom recvmsg sendto sendmsg close exit_group restart_syscall
 * #syscalls agent: openat(2&O_CREAT=0) ioctl(1=TUNSETIFF) ioctl(1=TUNSETVNETHDRSZ)
 * #syscalls agent: ioctl(1=TUNSETOFFLOAD) ioctl(1=SIOCGIFINDEX)
 * #syscalls agent: setsockopt(1=SOL_SOCKET;2=SO_RCVTIMEO) socket(0=AF_UNIX;1&SOCK_TYPE=SOCK_DGRAM)
 * #syscalls agent: socket(0=AF_NETLINK) socket(0=AF_INET) socket(0=AF_INET6)
 */
static enum step confine(void) {
  if (confine_thread(-1) < 0) return STEP_SECCOMP;
  errno = -filter_load(FILTER_AGENT, false);
  return errno == 0 ? STEP_NONE : STEP_SECCOMP;
}

/* The result of one request, with the descriptor that goes along. */
struct outcome {
  struct agent_reply reply;
  int fd; /* -1: none */
};

static struct outcome succeeded(int result) {
  return (struct outcome){.reply = {.result = result}, .fd = -1};
}

static struct outcome failed(enum step step) {
  return (struct outcome){.reply = {.result = -errno, .step = step}, .fd = -1};
}

static struct outcome opened(int fd) {
  return (struct outcome){.fd = fd};
}

static enum step set_up_tap(int tap, const char *name, bool vnet_header) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  if (vnet_header) request.ifr_flags |= IFF_VNET_HDR;
  memcpy(request.ifr_name, name, strlen(name));
  if (ioctl(tap, TUNSETIFF, &request) < 0) return STEP_TUNSETIFF;
  if (vnet_header && tap_set_vnet_header(tap) < 0) return STEP_VNET_HEADER;
  if (tap_set_offload(tap, vnet_header) < 0) return STEP_OFFLOAD;
  return STEP_NONE;
}

static struct outcome open_tap(const char *name, bool vnet_header) {
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) return failed(STEP_OPEN_TUN);
  enum step step = set_up_tap(tap, name, vnet_header);
  if (step == STEP_NONE) return opened(tap);
  struct outcome outcome = failed(step);
  close(tap);
  return outcome;
}

static struct outcome find_interface(const char *name) {
  int any_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any_socket < 0) return failed(STEP_IFINDEX);
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strlen(name));
  int result = ioctl(any_socket, SIOCGIFINDEX, &request);
  struct outcome outcome = result < 0 ? failed(STEP_IFINDEX) : succeeded(request.ifr_ifindex);
  close(any_socket);
  return outcome;
}

/* The payload is unaligned to the compiler; headers are copied out of it. */
static bool asks_for_one_acknowledgement(const struct agent_request *request) {
  struct nlmsghdr header;
  if (request->length < sizeof(header)) return false;
  memcpy(&header, request->payload, sizeof(header));
  return header.nlmsg_len == request->length && (header.nlmsg_flags & NLM_F_ACK) != 0;
}

/* The kernel answers within send(); the time-out is for requests that turn out to be dumps. */
static int receive_acknowledgement(int netlink) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    uint8_t rest[AGENT_PAYLOAD_MAX]; /* the kernel may quote the request, or explain */
  } answer;
  ssize_t received = process_recv(netlink, &answer, sizeof(answer));
  if (received < 0) return -errno;
  if ((size_t)received < offsetof(typeof(answer), rest)) return -EPROTO;
  return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
}

static int exchange_netlink(int netlink, const struct agent_request *request) {
  struct timeval timeout = {.tv_sec = NETLINK_TIMEOUT_SECONDS};
  setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  if (process_send(netlink, request->payload, request->length) < 0) return -errno;
  return receive_acknowledgement(netlink);
}

static struct outcome request_netlink(const struct agent_request *request) {
  errno = EINVAL;
  if (!asks_for_one_acknowledgement(request)) return failed(STEP_NETLINK);
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) return failed(STEP_NETLINK);
  errno = -exchange_netlink(netlink, request);
  struct outcome outcome = errno == 0 ? succeeded(0) : failed(STEP_NETLINK);
  close(netlink);
  return outcome;
}

static struct outcome make_socket(const int32_t numbers[3]) {
  int fd = socket(numbers[0], numbers[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, numbers[2]);
  return fd < 0 ? failed(STEP_SOCKET) : opened(fd);
}

/* Names end with a NUL and fit struct ifreq: the addon has seen to it. */
static struct outcome serve(const struct agent_request *request) {
  const char *name = (const char *)request->payload;
  switch ((enum agent_operation)request->operation) {
    case AGENT_OPEN_TAP:
      return open_tap(name, request->numbers[0] != 0);
    case AGENT_IFINDEX:
      return find_interface(name);
    case AGENT_NETLINK:
      return request_netlink(request);
    case AGENT_SOCKET:
      return make_socket(request->numbers);
  }
  errno = ENOSYS;
  return failed(STEP_AGENT);
}

static void answer(int socket, struct outcome outcome) {
  /* Signals are blocked here. When this fails the addon is gone, and the next recv ends us. */
  process_send_fd(socket, &outcome.reply, sizeof(outcome.reply), outcome.fd);
  if (outcome.fd >= 0) close(outcome.fd);
}

static enum step enter(int userns, int netns) {
  /*
   * What rules inside the target's user namespace could trace us, and read Node's memory, of which
   * this process is a copy. A process that is not dumpable is only traced with capabilities over
   * the namespace where its memory was made: ours.
   */
  prctl(PR_SET_DUMPABLE, 0);
  if (userns >= 0 && setns(userns, CLONE_NEWUSER) < 0) return STEP_SETNS_USER;
  if (setns(netns, CLONE_NEWNET) < 0) return STEP_SETNS_NET;
  return STEP_NONE;
}

/* Keeps the socket, as descriptor 0, and nothing else of the parent's. */
static int drop_inheritance(int socket) {
  if (dup2(socket, 0) < 0) return -1;
  if (chdir("/") < 0) return -1;
  return (int)syscall(SYS_close_range, 1, UINT_MAX, 0);
}

_Noreturn void agent_run(int socket, int userns, int netns) {
  enum step step = enter(userns, netns);
  struct outcome entered = step == STEP_NONE ? succeeded(0) : failed(step);
  if (step == STEP_NONE && drop_inheritance(socket) < 0) entered = failed(STEP_AGENT);
  /* Entering a user namespace clears it, so it is set here; a parent that died before: EOF. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (entered.reply.result == 0 && (step = confine()) != STEP_NONE) entered = failed(step);
  if (entered.reply.result < 0) {
    answer(socket, entered);
    _exit(0);
  }
  answer(0, entered);
  struct agent_request request;
  while (process_recv(0, &request, sizeof(request)) > 0) answer(0, serve(&request));
  _exit(0);
}

static int fork_agent(const struct targets *targets, process_forker *forker, struct agent *agent,
                      enum step *step) {
  int pair[2];
  *step = STEP_SOCKETPAIR;
  if (process_socketpair(pair) < 0) return -errno;
  *step = STEP_FORK;
  pid_t pid = forker();
  if (pid == 0) agent_run(pair[1], targets->userns, targets->netns);
  int error = pid < 0 ? -errno : 0;
  close(pair[1]);
  if (error < 0) close(pair[0]);
  else *agent = (struct agent){.pid = pid, .socket = pair[0]};
  return error;
}

int agent_start(const char *userns, const char *netns, process_forker *forker, struct agent *agent,
                enum step *step) {
  struct targets targets;
  int error = targets_open(userns, netns, &targets, step);
  if (error < 0) return error;
  error = fork_agent(&targets, forker, agent, step);
  targets_close(&targets);
  return error;
}
