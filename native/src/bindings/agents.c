/* Agents as JavaScript sees them: the parent's side of agent.h. */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../agent/agent.h"
#include "../agent/tap.h"
#include "../agent/targets.h"
#include "../broker/protocol.h"
#include "../call/agents.h"
#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../os/process.h"

/* Seconds: longer than any request takes, NETLINK_TIMEOUT_SECONDS of agent.c included. */
enum { OWN_PATIENCE = 6 };
/* Of an agent that somebody else has started, and may stop: it must not hold up other guests for long, and it does so once. */
enum { ADOPTED_PATIENCE = 1 };

/*
 * The flags of a call that must not block for long. Who has passed a socket may have a copy of it, and change its time limits and
 * O_NONBLOCK at any time: what was adopted is waited for by poll(2). A signal ends that: treat it as a late answer.
 */
static int wait_for(const struct agent *agent, short events) {
  bool is_adopted = agent->pid < 0;
  struct pollfd socket = {.fd = agent->socket, .events = events};
  if (is_adopted) poll(&socket, 1, ADOPTED_PATIENCE * 1000);
  return is_adopted ? MSG_DONTWAIT : 0;
}

static void lose(struct agent *agent) {
  agent->lost = true;
  shutdown(agent->socket, SHUT_RDWR);
}

/* A reply that comes too late would be taken for the next one: the agent gets no more requests then. */
static int receive_reply(struct agent *agent, struct agent_reply *reply) {
  int fd = -1;
  ssize_t received = process_recv_fd(agent->socket, reply, sizeof(*reply), wait_for(agent, POLLIN), &fd);
  if (received == sizeof(*reply)) return fd;
  if (received < 0 && errno == EAGAIN) lose(agent);
  if (fd >= 0) close(fd);
  *reply = (struct agent_reply){-EPIPE, STEP_AGENT};
  return -1;
}

/* For replies without a descriptor; one that comes along is closed. */
static struct agent_reply receive_result(struct agent *agent) {
  struct agent_reply reply;
  int fd = receive_reply(agent, &reply);
  if (fd >= 0) close(fd);
  return reply;
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

static void limit_waiting(int socket) {
  struct timeval timeout = {.tv_sec = OWN_PATIENCE};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static bool is_child(const struct agent *agent) {
  return agent->pid > 0 && agent->pid != BROKER_REAPS;
}

/* shutdown, as close would not end the socket while a child that is held has a copy of it. */
static int end_agent(struct agent *agent) {
  shutdown(agent->socket, SHUT_RDWR);
  close(agent->socket);
  /* An agent that is stopped does not end before we do. */
  int status = agent->lost ? -1 : is_child(agent) ? process_reap(agent->pid) : 0;
  *agent = (struct agent){0};
  return status == 0 ? 0 : -EIO;
}

void agents_close_all(struct agents *agents) {
  for (size_t i = 0; i < AGENT_MAX; i++) {
    if (agents->table[i].pid != 0) end_agent(&agents->table[i]);
  }
}

static int start_agent(struct instance *instance, const char *userns, const char *netns,
                       struct agent *agent) {
  enum step step = STEP_BROKER;
  if (instance->broker.is_keeper) return failure_set(&instance->failure, step, "", -EPERM);
  int error = instance->broker.socket < 0
                  ? agent_start(userns, netns, process_fork, agent, &step)
                  : broker_start_agent(&instance->broker, userns, netns, agent, &step);
  if (error == 0) return 0;
  return failure_set(&instance->failure, step, targets_subject(step, userns, netns), error);
}

static int open_agent_in(struct instance *instance, const char *userns, const char *netns) {
  struct agent *agent = free_agent(&instance->agents);
  if (agent == NULL) return failure_set(&instance->failure, STEP_AGENT, "", -ENFILE);
  int error = start_agent(instance, userns, netns, agent);
  if (error < 0) return error;
  struct agent_reply reply = receive_result(agent);
  if (reply.result == 0) {
    limit_waiting(agent->socket);
    return (int)(agent - instance->agents.table);
  }
  end_agent(agent);
  if (reply.result > 0) reply = (struct agent_reply){-EPROTO, STEP_AGENT};
  return failed_reply(&instance->failure, &reply, targets_subject(reply.step, userns, netns));
}

static napi_value adopt_agent(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_fd(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct agents *agents = &call.instance->agents;
  struct agent *agent = free_agent(agents);
  if (agent == NULL) return call_end(&call, -ENFILE);
  handles_forget(&call.instance->handles, fd);
  *agent = (struct agent){.pid = -1, .socket = fd};
  return call_end(&call, (int)(agent - agents->table));
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
  char userns[BROKER_PATH_CAPACITY] = "";
  char netns[BROKER_PATH_CAPACITY];
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

/* Sends a request. Returns 0 or a negative errno. */
static int ask(struct failure *failure, struct agent *agent, const struct agent_request *request,
               const char *subject) {
  size_t length = offsetof(struct agent_request, payload) + request->length;
  if (process_send_fd(agent->socket, request, length, wait_for(agent, POLLOUT), -1) >= 0) return 0;
  if (errno == EAGAIN) lose(agent);
  return failure_set(failure, STEP_AGENT, subject, -EPIPE);
}

/* Sends a request and receives its result. */
static int exchange(struct call *call, struct agent *agent, const struct agent_request *request,
                    const char *subject) {
  struct failure *failure = &call->instance->failure;
  int error = ask(failure, agent, request, subject);
  if (error < 0) return error;
  struct agent_reply reply = receive_result(agent);
  return reply.result < 0 ? failed_reply(failure, &reply, subject) : reply.result;
}

/*
 * The same for a request whose reply brings a descriptor, which becomes a handle. The kernel leaves out one
 * for which we have no room (SCM_RIGHTS in unix(7)).
 */
static int exchange_fd(struct call *call, struct agent *agent, const struct agent_request *request,
                       const char *subject) {
  struct failure *failure = &call->instance->failure;
  int error = ask(failure, agent, request, subject);
  if (error < 0) return error;
  struct agent_reply reply;
  int fd = receive_reply(agent, &reply);
  if (fd >= 0 && reply.result == 0) return handles_issue(&call->instance->handles, fd, HANDLE_PLAIN);
  if (fd >= 0) close(fd);
  if (reply.result >= 0) reply = (struct agent_reply){-EMFILE, STEP_AGENT};
  return failed_reply(failure, &reply, subject);
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
  struct agent *agent = call_agent(&call, 0);
  call_name(&call, 1, STEP_TUNSETIFF, &request);
  request.numbers[0] = call_bool(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange_fd(&call, agent, &request, (const char *)request.payload));
}

static napi_value set_up_tap(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int tap = call_fd(&call, 0);
  return call_end(&call, call_ok(&call) ? tap_set_up(tap) : 0);
}

static napi_value agent_ifindex(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  struct agent_request request = {.operation = AGENT_IFINDEX};
  struct agent *agent = call_agent(&call, 0);
  call_name(&call, 1, STEP_IFINDEX, &request);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange(&call, agent, &request, (const char *)request.payload));
}

static napi_value agent_netlink(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  struct agent *agent = call_agent(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  if (bytes.length > AGENT_PAYLOAD_MAX) call_fail(&call, -EINVAL);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct agent_request request = {.operation = AGENT_NETLINK, .length = (uint32_t)bytes.length};
  if (bytes.length > 0) memcpy(request.payload, bytes.base, bytes.length);
  return call_end(&call, exchange(&call, agent, &request, ""));
}

static napi_value agent_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  struct agent *agent = call_agent(&call, 0);
  struct agent_request request = {
      .operation = AGENT_SOCKET,
      .numbers = {call_int(&call, 1), call_int(&call, 2), call_int(&call, 3)},
  };
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, exchange_fd(&call, agent, &request, ""));
}

static napi_value agent_bound_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  struct agent *agent = call_agent(&call, 0);
  struct range address = call_bytes(&call, 3);
  struct agent_request request = {
      .operation = AGENT_SOCKET,
      .numbers = {call_int(&call, 1), call_int(&call, 2), 0},
      .length = (uint32_t)address.length,
  };
  if (address.length == 0 || address.length > sizeof(struct sockaddr_storage)) call_fail(&call, -EINVAL);
  if (!call_ok(&call)) return call_end(&call, 0);
  memcpy(request.payload, address.base, address.length);
  return call_end(&call, exchange_fd(&call, agent, &request, ""));
}

static napi_value close_agent(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct agent *agent = call_agent(&call, 0);
  return call_end(&call, call_ok(&call) ? end_agent(agent) : 0);
}

const struct method agent_methods[] = {
    {"openAgent", open_agent},
    {"adoptAgent", adopt_agent},
    {"agentOpenTap", agent_open_tap},
    {"setUpTap", set_up_tap},
    {"agentIfindex", agent_ifindex},
    {"agentNetlink", agent_netlink},
    {"agentSocket", agent_socket},
    {"agentBoundSocket", agent_bound_socket},
    {"closeAgent", close_agent},
    {NULL, NULL},
};
