#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../held/plan.h"
#include "../os/process.h"
#include "protocol.h"

enum {
  KEEPER_PATIENCE_MS = 20,  /* it answers in 0.1 ms; meanwhile the loop serves nobody */
  KEEPER_END_MS = 1000,
};

/* #syscalls node: sendmsg recvmsg poll ppoll shutdown */

/* `received_fd` is -1 when the result is a failure. */
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

/* For replies without a descriptor; one that comes along is closed. */
static int receive_result(int broker, struct broker_reply *reply) {
  int fd = -1;
  int result = receive_reply(broker, reply, &fd);
  if (fd >= 0) close(fd);
  return result;
}

/* Sends a request, with a descriptor unless -1. A broker that is gone is noticed when it does not reply. */
static void ask(int broker, const struct broker_request *request, int sent_fd) {
  process_send_fd(broker, request, sizeof(*request), 0, sent_fd);
}

static struct broker_request request_of(enum broker_operation operation, const char *first,
                                        const char *second) {
  struct broker_request request = {.operation = operation};
  strncpy(request.paths[0], first, BROKER_PATH_CAPACITY - 1);
  strncpy(request.paths[1], second, BROKER_PATH_CAPACITY - 1);
  return request;
}

/* Sends a request that starts a process. Returns its pid, and our end of the socket to it. */
static int start(int broker, const struct broker_request *request, int sent_fd,
                 struct broker_reply *reply, int *socket) {
  *socket = -1;
  ask(broker, request, sent_fd);
  int pid = receive_reply(broker, reply, socket);
  if (pid < 0 || (pid > 0 && *socket >= 0)) return pid;
  /* We are out of descriptors (SCM_RIGHTS in unix(7)): the process ends, as its socket is closed. */
  if (*socket >= 0) close(*socket);
  if (pid > 0 && pid != BROKER_REAPS) process_reap(pid);
  *reply = (struct broker_reply){pid > 0 ? -EMFILE : -EPROTO, STEP_BROKER};
  return reply->result;
}

int broker_start_agent(const struct broker *broker, const char *userns, const char *netns,
                       struct agent *agent, enum step *step) {
  struct broker_request request = request_of(BROKER_AGENT, userns, netns);
  struct broker_reply reply;
  int socket;
  int pid = start(broker->socket, &request, -1, &reply, &socket);
  *step = reply.step < STEP_COUNT ? (enum step)reply.step : STEP_BROKER;
  if (pid < 0) return pid;
  *agent = (struct agent){.pid = pid, .socket = socket};
  return 0;
}

int broker_spawn(const struct broker *broker, const struct held_plan *plan, pid_t *pid,
                 int *control) {
  int memfd = plan_write(plan);
  if (memfd < 0) return memfd;
  struct broker_request request = {.operation = BROKER_SPAWN};
  struct broker_reply reply;
  int result = start(broker->socket, &request, memfd, &reply, control);
  close(memfd);
  if (result < 0) return result;
  *pid = result;
  return 0;
}

/* The descriptor that a reply brings, or a negative errno. */
static int ask_for_fd(int broker, enum broker_operation operation, const char *path) {
  if (broker < 0) return -EBADF;
  struct broker_request request = request_of(operation, path, "");
  struct broker_reply reply;
  int fd;
  ask(broker, &request, -1);
  int result = receive_reply(broker, &reply, &fd);
  if (result < 0) return result;
  return fd < 0 ? -EMFILE : fd;
}

/* In the background we have a PID namespace of our own, and the broker knows the numbers that users name. */
int broker_open_process(const struct broker *broker, pid_t pid) {
  char digits[PROCESS_DIGITS_CAPACITY];
  bool asks = broker->socket >= 0 && !broker->is_keeper;
  if (asks) return ask_for_fd(broker->socket, BROKER_PROCESS, process_digits(pid, digits));
  int pidfd = process_open(pid);
  return pidfd < 0 ? -errno : pidfd;
}

int broker_open_directory(const struct broker *broker, const char *path) {
  if (broker->socket >= 0) return ask_for_fd(broker->socket, BROKER_DIRECTORY, path);
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int broker_open_pid_file(const struct broker *broker, const char *path) {
  return ask_for_fd(broker->socket, BROKER_PID_FILE, path);
}

static int same_file(const char *one, const char *other) {
  struct stat first;
  struct stat second;
  if (stat(one, &first) < 0 || stat(other, &second) < 0) return -errno;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int broker_is_same(const struct broker *broker, const char *one, const char *other) {
  if (broker->socket < 0) return same_file(one, other);
  struct broker_request request = request_of(BROKER_SAME, one, other);
  struct broker_reply reply;
  ask(broker->socket, &request, -1);
  return receive_result(broker->socket, &reply);
}

int broker_become_keeper(struct broker *broker, const char *resolv_conf, const char *api_socket) {
  if (broker->socket < 0) return -EBADF;
  struct broker_request request = request_of(BROKER_KEEP, resolv_conf, api_socket);
  broker->is_keeper = true;
  ssize_t sent = process_send_fd(broker->socket, &request, sizeof(request), 0, -1);
  return sent < 0 ? -errno : 0;
}

int broker_confirm_keeper(const struct broker *broker) {
  struct broker_reply reply;
  return receive_result(broker->socket, &reply);
}

static int wait_readable(int fd, int ms) {
  struct pollfd readable = {.fd = fd, .events = POLLIN};
  int count = poll(&readable, 1, ms);
  /* poll(2) does not continue after a signal: treat that as a late answer. */
  if (count < 0 && errno != EINTR) return -errno;
  return count > 0 ? 0 : -EAGAIN;
}

int broker_keeper_text(struct broker *broker, void *text, size_t capacity) {
  if (!broker->owes && process_send(broker->socket, "", 1) < 0) return -errno;
  int patience = broker->owes ? 0 : KEEPER_PATIENCE_MS;
  broker->owes = true;
  int error = wait_readable(broker->socket, patience);
  if (error < 0) return error;
  struct keeper_answer answer;
  struct iovec iov[] = {{&answer, sizeof(answer)}, {text, capacity}};
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
  ssize_t received = recvmsg(broker->socket, &message, MSG_DONTWAIT);
  if (received < 0) return -errno;
  if ((size_t)received < sizeof(answer)) return -EPIPE;
  broker->owes = false;
  return answer.changed == 0 ? -EAGAIN : (int)((size_t)received - sizeof(answer));
}

void broker_end(struct broker *broker) {
  int socket = broker->socket;
  char rest[64];
  broker->socket = -1;
  shutdown(socket, SHUT_WR);
  while (wait_readable(socket, KEEPER_END_MS) == 0 &&
         recv(socket, rest, sizeof(rest), MSG_DONTWAIT) > 0) {
  }
  close(socket);
}
