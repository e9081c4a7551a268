/* Broker and keeper as JavaScript sees them: the addon's side of broker.h. */
#include "../broker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../held/plan.h"
#include "../os/process.h"

enum {
  KEEPER_PATIENCE_MS = 20,  /* it answers in 0.1 ms; a loop that waits serves nobody */
  KEEPER_END_MS = 1000,
};

/* #syscalls node: sendmsg recvmsg poll ppoll shutdown */

/* `received_fd`: -1 unless the result is none of a failure. */
static int receive_reply(int broker, struct broker_reply *reply, int *received_fd) {
  if (process_recv_fd(broker, reply, sizeof(*reply), 0, received_fd) != sizeof(*reply)) {
    *reply = (struct broker_reply){-EPIPE, STEP_BROKER};
  }
  if (reply->result < 0 && *received_fd >= 0) {
    close(*received_fd);
    *received_fd = -1;
  }
  return reply->result;
}

/* The result alone: what comes along unasked is closed. */
static int receive_result(int broker, struct broker_reply *reply) {
  int fd = -1;
  int result = receive_reply(broker, reply, &fd);
  if (fd >= 0) close(fd);
  return result;
}

/* Sends a request, which may have a descriptor. A broker that is gone is found when it does not reply. */
static void ask(int broker, const struct broker_request *request, int sent_fd) {
  process_send_fd(broker, request, sizeof(*request), 0, sent_fd);
}

/* A request that starts a process: its pid, and our end of the socket to it. */
static int start(int broker, const struct broker_request *request, int sent_fd,
                 struct broker_reply *reply, int *socket) {
  *socket = -1;
  ask(broker, request, sent_fd);
  int pid = receive_reply(broker, reply, socket);
  if (pid < 0 || (pid > 0 && *socket >= 0)) return pid;
  /* There was no room for its socket (SCM_RIGHTS in unix(7)): it ends, as nobody has that end any more. */
  if (*socket >= 0) close(*socket);
  if (pid > 0) process_reap(pid);
  *reply = (struct broker_reply){pid > 0 ? -EMFILE : -EPROTO, STEP_BROKER};
  return reply->result;
}

int broker_start_agent(int broker, const char *userns, const char *netns, struct agent *agent,
                       enum step *step) {
  struct broker_request request = {.operation = BROKER_AGENT};
  strncpy(request.paths[0], userns, BROKER_PATH_CAPACITY - 1);
  strncpy(request.paths[1], netns, BROKER_PATH_CAPACITY - 1);
  struct broker_reply reply;
  int socket;
  int pid = start(broker, &request, -1, &reply, &socket);
  *step = reply.step < STEP_COUNT ? (enum step)reply.step : STEP_BROKER;
  if (pid < 0) return pid;
  *agent = (struct agent){.pid = pid, .socket = socket};
  return 0;
}

int broker_spawn(int broker, const struct held_plan *plan, pid_t *pid, int *control) {
  int memfd = plan_write(plan);
  if (memfd < 0) return memfd;
  struct broker_request request = {.operation = BROKER_SPAWN};
  struct broker_reply reply;
  int result = start(broker, &request, memfd, &reply, control);
  close(memfd);
  if (result < 0) return result;
  *pid = result;
  return 0;
}

static napi_value use_broker(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int fd = call_number(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (call.instance->broker >= 0) return call_end(&call, -EEXIST);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return call_end(&call, -errno);
  call.instance->broker = fd;
  return call_end(&call, 0);
}

static int same_file(const char *one, const char *other) {
  struct stat first;
  struct stat second;
  if (stat(one, &first) < 0 || stat(other, &second) < 0) return -errno;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static int ask_whether_same(int broker, const struct broker_request *request) {
  struct broker_reply reply;
  ask(broker, request, -1);
  return receive_result(broker, &reply);
}

static napi_value same_namespace(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  struct broker_request request = {.operation = BROKER_SAME};
  call_string(&call, 0, request.paths[0], BROKER_PATH_CAPACITY);
  call_string(&call, 1, request.paths[1], BROKER_PATH_CAPACITY);
  if (!call_ok(&call)) return call_end(&call, 0);
  int broker = call.instance->broker;
  return call_end(&call, broker < 0 ? same_file(request.paths[0], request.paths[1])
                                    : ask_whether_same(broker, &request));
}

static napi_value become_keeper(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  struct broker_request request = {.operation = BROKER_KEEP};
  call_string(&call, 0, request.paths[0], BROKER_PATH_CAPACITY);
  if (!call_is_null(&call, 1)) call_string(&call, 1, request.paths[1], BROKER_PATH_CAPACITY);
  if (!call_ok(&call)) return call_end(&call, 0);
  if (call.instance->broker < 0) return call_end(&call, -EBADF);
  call.instance->broker_keeps = true;
  return call_end_syscall(
      &call, process_send_fd(call.instance->broker, &request, sizeof(request), 0, -1) < 0 ? -1 : 0);
}

static napi_value confirm_keeper(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  struct broker_reply reply;
  if (call.instance->broker < 0) return call_end(&call, -EBADF);
  int result = receive_result(call.instance->broker, &reply);
  if (result < 0) failure_set(&call.instance->failure, STEP_KEEPER, "", result);
  return call_end(&call, result);
}

static int wait_readable(int fd, int ms) {
  struct pollfd readable = {.fd = fd, .events = POLLIN};
  int count = poll(&readable, 1, ms);
  /* poll(2) goes on after no signal: as if it had been late. */
  if (count < 0 && errno != EINTR) return -errno;
  return count > 0 ? 0 : -EAGAIN;
}

/* The length of the text; -EAGAIN when it has not changed, or the answer is late. */
static int ask_keeper(struct instance *instance, struct range text) {
  int keeper = instance->broker;
  if (!instance->keeper_owes && process_send(keeper, "", 1) < 0) return -errno;
  int patience = instance->keeper_owes ? 0 : KEEPER_PATIENCE_MS;
  instance->keeper_owes = true;
  int error = wait_readable(keeper, patience);
  if (error < 0) return error;
  struct keeper_answer answer;
  struct iovec iov[] = {{&answer, sizeof(answer)}, {text.base, text.length}};
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
  ssize_t received = recvmsg(keeper, &message, MSG_DONTWAIT);
  if (received < 0) return -errno;
  if ((size_t)received < sizeof(answer)) return -EPIPE;
  instance->keeper_owes = false;
  return answer.changed == 0 ? -EAGAIN : (int)((size_t)received - sizeof(answer));
}

static napi_value keeper_text(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct range text = call_bytes(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, call.instance->broker < 0 ? -EBADF : ask_keeper(call.instance, text));
}

/* Waits until it has done what is to be done at the end, and is gone. */
static napi_value end_broker(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  int broker = call.instance->broker;
  if (broker < 0) return call_end(&call, -EBADF);
  call.instance->broker = -1;
  shutdown(broker, SHUT_WR);
  char rest[64];
  while (wait_readable(broker, KEEPER_END_MS) == 0 &&
         recv(broker, rest, sizeof(rest), MSG_DONTWAIT) > 0) {
  }
  close(broker);
  return call_end(&call, 0);
}

const struct method broker_methods[] = {
    {"useBroker", use_broker},       {"sameNamespace", same_namespace},
    {"becomeKeeper", become_keeper}, {"confirmKeeper", confirm_keeper},
    {"keeperText", keeper_text},     {"endBroker", end_broker},
    {NULL, NULL},
};
