/* The child's side. It is forked from a process with threads: async-signal-safe calls only. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
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

#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>

#include "../confine/confine.h"
#include "../confine/filter.h"
#include "../os/process.h"
#include "../os/step.h"
#include "netlink.h"
#include "tap.h"
#include "targets.h"

enum { NETLINK_TIMEOUT_SECONDS = 5 };

/* Descriptors of the agent; it has no others. */
enum { SOCKET, TUN, FIRST_FREE };

/*
 * All that it ever does again; it rules in somebody's namespaces, and may live as long as we do. No call
 * here takes a path: what is to be opened was opened before.
 *
 * #syscalls agent: recvfrom recvmsg sendto sendmsg close exit_group restart_syscall
 * #syscalls agent: ioctl(1=TUNSETIFF) ioctl(1=TUNSETVNETHDRSZ) ioctl(1=TUNSETOFFLOAD) ioctl(1=SIOCGIFINDEX)
 * #syscalls agent: setsockopt(1=SOL_SOCKET;2=SO_RCVTIMEO) setsockopt(1=SOL_SOCKET;2=SO_REUSEADDR)
 * #syscalls agent: setsockopt(1=SOL_IPV6;2=IPV6_V6ONLY) bind
 * #syscalls agent: socket(0=AF_INET;1&SOCK_TYPE=SOCK_STREAM;2=0) socket(0=AF_INET;1&SOCK_TYPE=SOCK_DGRAM;2=0)
 * #syscalls agent: socket(0=AF_INET6;1&SOCK_TYPE=SOCK_STREAM;2=0) socket(0=AF_INET6;1&SOCK_TYPE=SOCK_DGRAM;2=0)
 * #syscalls agent: socket(0=AF_NETLINK;1&SOCK_TYPE=SOCK_RAW;2=NETLINK_ROUTE)
 * #syscalls agent: socket(0=AF_NETLINK;1&SOCK_TYPE=SOCK_RAW;2=NETLINK_SOCK_DIAG)
 */
static enum step confine(void) {
  /* An empty directory, as we have no other descriptors. There may be no /proc, or no right to chroot. */
  if (chroot("/proc/self/fdinfo") == 0 && chdir("/") < 0) return STEP_SECCOMP;
  capabilities kept = capability(CAP_NET_ADMIN) | capability(CAP_NET_BIND_SERVICE);
  if (confine_capabilities(confine_permitted() & kept, 0) < 0) {
    return STEP_SECCOMP;
  }
  int ruleset = confine_ruleset(); /* -1 where there is no Landlock */
  int error = confine_thread(ruleset);
  if (ruleset >= 0) close(ruleset);
  if (error < 0) return STEP_SECCOMP;
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

/* Why the TAP's device could not be opened, or 0. */
static int tun_error;

static enum step set_up_tap(const char *name, bool vnet_header) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  if (vnet_header) request.ifr_flags |= IFF_VNET_HDR;
  strcpy(request.ifr_name, name);
  if (ioctl(TUN, TUNSETIFF, &request) < 0) return STEP_TUNSETIFF;
  if (vnet_header && tap_set_vnet_header(TUN) < 0) return STEP_VNET_HEADER;
  if (tap_set_offload(TUN, vnet_header) < 0) return STEP_OFFLOAD;
  return STEP_NONE;
}

/* The open device becomes the TAP: one for each agent. When the name is refused, the device can be tried again. */
static struct outcome open_tap(const char *name, bool vnet_header) {
  errno = tun_error;
  if (errno != 0) return failed(STEP_OPEN_TUN);
  enum step step = set_up_tap(name, vnet_header);
  if (step == STEP_TUNSETIFF) return failed(step);
  struct outcome outcome = step == STEP_NONE ? opened(TUN) : failed(step);
  if (step != STEP_NONE) close(TUN);
  tun_error = EMFILE;
  return outcome;
}

static struct outcome find_interface(const char *name) {
  int any_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any_socket < 0) return failed(STEP_IFINDEX);
  struct ifreq request = {0};
  strcpy(request.ifr_name, name);
  int result = ioctl(any_socket, SIOCGIFINDEX, &request);
  struct outcome outcome = result < 0 ? failed(STEP_IFINDEX) : succeeded(request.ifr_ifindex);
  close(any_socket);
  return outcome;
}

/*
 * The kernel answers within send(); the time-out is for requests that turn out to be dumps. Root of the namespace
 * can send to our socket, too: only the kernel's messages count.
 */
static int receive_acknowledgement(int netlink) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    uint8_t rest[AGENT_PAYLOAD_MAX]; /* the kernel may quote the request, or explain */
  } answer;
  struct sockaddr_nl sender = {0};
  socklen_t length = sizeof(sender);
  ssize_t received;
  do {
    received = recvfrom(netlink, &answer, sizeof(answer), 0, (struct sockaddr *)&sender, &length);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  if (length != sizeof(sender) || sender.nl_pid != 0) return -EPROTO;
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
  if (!netlink_is_allowed(request->payload, request->length)) return failed(STEP_NETLINK);
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) return failed(STEP_NETLINK);
  errno = -exchange_netlink(netlink, request);
  struct outcome outcome = errno == 0 ? succeeded(0) : failed(STEP_NETLINK);
  close(netlink);
  return outcome;
}

/* Sockets that Node needs in a namespace: to relay to its loopback interface and from it, and to see what listens there. */
static const int32_t sockets[][3] = {
    {AF_INET, SOCK_STREAM, 0},
    {AF_INET, SOCK_DGRAM, 0},
    {AF_INET6, SOCK_STREAM, 0},
    {AF_INET6, SOCK_DGRAM, 0},
    {AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG},
};

/*
 * For the host's ports that appear on the namespace's loopback: a port below 1024 needs a capability that only we have
 * there. IPv6 alone, and beside the sessions of the same port.
 */
static int bind_socket(int fd, const struct agent_request *request) {
  struct sockaddr_storage address = {0};
  int domain = request->numbers[0];
  size_t length = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  errno = EINVAL;
  if (domain == AF_NETLINK || request->length != length) return -1;
  memcpy(&address, request->payload, length);
  if (address.ss_family != domain) return -1;
  int yes = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0) return -1;
  if (domain == AF_INET6 && setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0) return -1;
  return bind(fd, (struct sockaddr *)&address, (socklen_t)length);
}

static struct outcome make_socket(const struct agent_request *request) {
  const int32_t *numbers = request->numbers;
  for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
    if (memcmp(numbers, sockets[i], sizeof(sockets[i])) != 0) continue;
    int fd = socket(numbers[0], numbers[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, numbers[2]);
    if (fd < 0) return failed(STEP_SOCKET);
    if (request->length == 0 || bind_socket(fd, request) == 0) return opened(fd);
    struct outcome outcome = failed(STEP_SOCKET);
    close(fd);
    return outcome;
  }
  errno = EACCES;
  return failed(STEP_SOCKET);
}

/*
 * Whether the payload is a name that ends within itself and fits struct ifreq. An empty one means "choose one" to
 * the kernel.
 */
static bool is_name(const struct agent_request *request) {
  size_t most = request->length < IFNAMSIZ ? request->length : IFNAMSIZ;
  size_t length = strnlen((const char *)request->payload, most);
  return length > 0 && length < most;
}

static struct outcome serve(const struct agent_request *request) {
  const char *name = (const char *)request->payload;
  errno = EINVAL;
  switch ((enum agent_operation)request->operation) {
    case AGENT_OPEN_TAP:
      return is_name(request) ? open_tap(name, request->numbers[0] != 0) : failed(STEP_TUNSETIFF);
    case AGENT_IFINDEX:
      return is_name(request) ? find_interface(name) : failed(STEP_IFINDEX);
    case AGENT_NETLINK:
      return request_netlink(request);
    case AGENT_SOCKET:
      return make_socket(request);
  }
  errno = ENOSYS;
  return failed(STEP_AGENT);
}

/* The length received must be what the header says. */
static struct outcome serve_received(const struct agent_request *request, size_t received) {
  size_t head = offsetof(struct agent_request, payload);
  if (received >= head && request->length == received - head) return serve(request);
  errno = EINVAL;
  return failed(STEP_AGENT);
}

static void answer(int socket, struct outcome outcome) {
  /* Signals are blocked. If this fails the parent is gone, and the next recv ends us. */
  process_send_fd(socket, &outcome.reply, sizeof(outcome.reply), 0, outcome.fd);
  if (outcome.fd >= 0) close(outcome.fd);
}

/*
 * Keeps the socket and nothing else of the parent's. A TAP's device belongs to the network namespace in which it
 * is opened (tun_chr_open of drivers/net/tun.c). If it cannot be opened, agents without a TAP still work.
 */
static int drop_inheritance(int socket) {
  if (dup2(socket, SOCKET) < 0) return -1;
  if (chdir("/") < 0) return -1;
  if (syscall(SYS_close_range, TUN, UINT_MAX, 0) < 0) return -1;
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC); /* the lowest number that is free */
  tun_error = tun < 0 ? errno : 0;
  return 0;
}

_Noreturn void agent_run(int socket, int userns, int netns) {
  enum step step = targets_enter(&(struct targets){userns, netns});
  if (step == STEP_NONE && drop_inheritance(socket) < 0) step = STEP_AGENT;
  /* set here, as entering a user namespace clears it; if the parent died before, recv returns EOF */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (step != STEP_NONE) {
    answer(socket, failed(step));
    _exit(0);
  }
  step = confine();
  answer(SOCKET, step == STEP_NONE ? succeeded(0) : failed(step));
  if (step != STEP_NONE) _exit(0);
  struct agent_request request;
  ssize_t received;
  while ((received = process_recv(SOCKET, &request, sizeof(request))) > 0) {
    answer(SOCKET, serve_received(&request, (size_t)received));
  }
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
