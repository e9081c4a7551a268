/* Agents as JavaScript sees them: the parent's side of agent.h. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/nsfs.h>

#include "agent.h"
#include "agents.h"
#include "call.h"
#include "instance.h"
#include "process.h"

enum { PATH_CAPACITY = 4096 };

/* -1 in a place where there is no descriptor. */
struct targets {
  int userns;
  int netns;
};

static void close_targets(const struct targets *targets) {
  if (targets->userns >= 0) close(targets->userns);
  if (targets->netns >= 0) close(targets->netns);
}

/* ENOTTY: not a namespace at all; EINVAL: one of another type. */
static int check_type(int fd, int type) {
  int found = ioctl(fd, NS_GET_NSTYPE);
  if (found < 0) return -errno;
  return found == type ? 0 : -EINVAL;
}

struct namespace_steps {
  int type;
  enum step open;
  enum step check;
};

static const struct namespace_steps netns_steps = {CLONE_NEWNET, STEP_OPEN_NETNS, STEP_CHECK_NETNS};
static const struct namespace_steps userns_steps = {CLONE_NEWUSER, STEP_OPEN_USERNS,
                                                    STEP_CHECK_USERNS};

static int open_namespace(struct failure *failure, const char *path,
                          const struct namespace_steps *steps) {
  /* O_NONBLOCK: the path may be a FIFO, O_NOCTTY: or a terminal; that is only known later. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return failure_set(failure, steps->open, path, -errno);
  int error = check_type(fd, steps->type);
  if (error == 0) return fd;
  close(fd);
  return failure_set(failure, steps->check, path, error);
}

static int open_owner(struct failure *failure, int netns, const char *path) {
  int userns = ioctl(netns, NS_GET_USERNS);
  return userns < 0 ? failure_set(failure, STEP_GET_USERNS, path, -errno) : userns;
}

/* Entering one's own user namespace is EINVAL (setns(2)), and needless. */
static bool is_our_userns(int userns) {
  struct stat theirs;
  struct stat ours;
  if (fstat(userns, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0) return false;
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* `userns` empty: the owner of `netns`. On failure the caller closes what was opened. */
static int open_targets(struct failure *failure, const char *userns, const char *netns,
                        struct targets *targets) {
  targets->netns = open_namespace(failure, netns, &netns_steps);
  if (targets->netns < 0) return targets->netns;
  targets->userns = userns[0] == '\0' ? open_owner(failure, targets->netns, netns)
                                      : open_namespace(failure, userns, &userns_steps);
  if (targets->userns < 0) return targets->userns;
  if (is_our_userns(targets->userns)) {
    close(targets->userns);
    targets->userns = -1;
  }
  return 0;
}

/* The descriptor that came along, or -1. */
static int received_descriptor(struct msghdr *message) {
  const struct cmsghdr *control = CMSG_FIRSTHDR(message);
  if (control == NULL || control->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(control), sizeof(fd));
  return fd;
}

static int receive_reply(int socket, struct agent_reply *reply) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {.iov_base = reply, .iov_len = sizeof(*reply)};
  struct msghdr message = {
      .msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control,
      .msg_controllen = sizeof(control),
  };
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received != sizeof(*reply)) *reply = (struct agent_reply){-EPIPE, STEP_AGENT};
  return received < 0 ? -1 : received_descriptor(&message);
}

static int failed_reply(struct failure *failure, const struct agent_reply *reply,
                        const char *subject) {
  enum step step = reply->step < STEP_COUNT ? (enum step)reply->step : STEP_AGENT;
  return failure_set(failure, step, step == STEP_OPEN_TUN ? "/dev/net/tun" : subject,
                     reply->result);
}

static struct agent *free_agent(struct agents *agents) {
  for (size_t i = 0; i < AGENT_MAX; i++) {
    if (agents->table[i].pid == 0) return &agents->table[i];
  }
  return NULL;
}

/* shutdown, as close would not end the socket while a child that is held has a copy of it. */
static int end_agent(struct agent *agent) {
  shutdown(agent->socket, SHUT_RDWR);
  close(agent->socket);
  int status = process_reap(agent->pid);
  *agent = (struct agent){0};
  return status == 0 ? 0 : -EIO;
}

void agents_close_all(struct agents *agents) {
  for (size_t i = 0; i < AGENT_MAX; i++) {
    if (agents->table[i].pid != 0) end_agent(&agents->table[i]);
  }
}

static int start_agent(struct failure *failure, struct agent *agent,
                       const struct targets *targets) {
  int pair[2];
  if (process_socketpair(pair) < 0) return failure_set(failure, STEP_SOCKETPAIR, "", -errno);
  pid_t pid = process_fork();
  if (pid == 0) agent_run(pair[1], targets->userns, targets->netns);
  int error = -errno;
  close(pair[1]);
  if (pid > 0) {
    *agent = (struct agent){.pid = pid, .socket = pair[0]};
    return 0;
  }
  close(pair[0]);
  return failure_set(failure, STEP_FORK, "", error);
}

static const char *named_at(enum step step, const char *userns, const char *netns) {
  return step == STEP_SETNS_USER && userns[0] != '\0' ? userns : netns;
}

static int open_agent_in(struct instance *instance, const char *userns, const char *netns) {
  struct agent *agent = free_agent(&instance->agents);
  if (agent == NULL) return failure_set(&instance->failure, STEP_AGENT, "", -ENFILE);
  struct targets targets = {-1, -1};
  int error = open_targets(&instance->failure, userns, netns, &targets);
  if (error == 0) error = start_agent(&instance->failure, agent, &targets);
  close_targets(&targets);
  if (error < 0) return error;
  struct agent_reply reply;
  receive_reply(agent->socket, &reply);
  if (reply.result == 0) return (int)(agent - instance->agents.table);
  end_agent(agent);
  return failed_reply(&instance->failure, &reply, named_at(reply.step, userns, netns));
}

/* A string argument that belongs to a step: the step failed when the string can't be used. */
static void call_subject(struct call *call, size_t index, enum step step, char *buffer,
                         size_t capacity) {
  bool good = call_ok(call);
  call_string(call, index, buffer, capacity);
  if (good && call->error != 0) failure_set(&call->instance->failure, step, buffer, 0);
}

static napi_value open_agent(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  char userns[PATH_CAPACITY] = "";
  char netns[PATH_CAPACITY];
  if (!call_is_null(&call, 0)) {
    call_subject(&call, 0, STEP_OPEN_USERNS, userns, sizeof(userns));
  }
  call_subject(&call, 1, STEP_OPEN_NETNS, netns, sizeof(netns));
  return call_end(&call, call_ok(&call) ? open_agent_in(call.instance, userns, netns) : 0);
}

static struct agent *call_agent(struct call *call, size_t index) {
  uint32_t number = call_size(call, index);
  if (number < AGENT_MAX && call->instance->agents.table[number].pid != 0) {
    return &call->instance->agents.table[number];
  }
  call_fail(call, -EBADF);
  return NULL;
}

/* Sends a request and receives its reply; the descriptor, if any, becomes a handle. */
static int exchange(struct call *call, const struct agent *agent,
                    const struct agent_request *request, const char *subject) {
  struct failure *failure = &call->instance->failure;
  size_t length = offsetof(struct agent_request, payload) + request->length;
  if (process_send(agent->socket, request, length) < 0) {
    return failure_set(failure, STEP_AGENT, subject, -EPIPE);
  }
  struct agent_reply reply;
  int fd = receive_reply(agent->socket, &reply);
  if (fd >= 0) return handles_issue(&call->instance->handles, fd, HANDLE_PLAIN);
  return reply.result < 0 ? failed_reply(failure, &reply, subject) : reply.result;
}

/* The kernel takes an empty name for "choose one", and the caller would not know which. */
static void call_name(struct call *call, size_t index, enum step step,
                      struct agent_request *request) {
  char *name = (char *)request->payload;
  call_subject(call, index, step, name, IFNAMSIZ);
  if (call_ok(call) && name[0] == '\0') {
    call_fail(call, failure_set(&call->instance->failure, step, name, -EINVAL));
  }
  request->length = IFNAMSIZ;
}

static napi_value agent_open_tap(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct agent_request request = {.operation = AGENT_OPEN_TAP};
  const struct agent *agent = call_agent(&call, 0);
  call_name(&call, 1, STEP_TUNSETIFF, &request);
  request.numbers[0] = call_bool(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange(&call, agent, &request, (const char *)request.payload));
}

static napi_value agent_ifindex(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  struct agent_request request = {.operation = AGENT_IFINDEX};
  const struct agent *agent = call_agent(&call, 0);
  call_name(&call, 1, STEP_IFINDEX, &request);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange(&call, agent, &request, (const char *)request.payload));
}

static napi_value agent_netlink(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  const struct agent *agent = call_agent(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  if (bytes.length > AGENT_PAYLOAD_MAX) call_fail(&call, -EINVAL);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct agent_request request = {.operation = AGENT_NETLINK, .length = (uint32_t)bytes.length};
  if (bytes.length > 0) memcpy(request.payload, bytes.base, bytes.length);
  return call_end(&call, exchange(&call, agent, &request, ""));
}

static napi_value agent_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  const struct agent *agent = call_agent(&call, 0);
  struct agent_request request = {
      .operation = AGENT_SOCKET,
      .numbers = {call_int(&call, 1), call_int(&call, 2), call_int(&call, 3)},
  };
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange(&call, agent, &request, ""));
}

static napi_value close_agent(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct agent *agent = call_agent(&call, 0);
  return call_end(&call, call_ok(&call) ? end_agent(agent) : 0);
}

const struct method namespace_methods[] = {
    {"openAgent", open_agent},
    {"agentOpenTap", agent_open_tap},
    {"agentIfindex", agent_ifindex},
    {"agentNetlink", agent_netlink},
    {"agentSocket", agent_socket},
    {"closeAgent", close_agent},
    {NULL, NULL},
};
