#include "broker.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/agent/agent.h"
#include "../../src/broker/protocol.h"
#include "../../src/held/held.h"
#include "../../src/held/plan.h"
#include "../../src/os/process.h"
#include "../common/rename.h"
#include "keeper.h"

struct outcome {
  struct broker_reply reply;
  int fd; /* -1: none; sent, and closed here */
};

static struct outcome failed(int error, enum step step) {
  return (struct outcome){.reply = {.result = error, .step = step}, .fd = -1};
}

static struct outcome start_agent(const struct broker_request *request) {
  struct agent agent;
  enum step step = STEP_NONE;
  int error = agent_start(request->paths[0], request->paths[1], process_fork_sibling, &agent, &step);
  if (error < 0) return failed(error, step);
  return (struct outcome){.reply = {.result = agent.pid}, .fd = agent.socket};
}

static struct outcome fork_held(int broker, int memfd, const struct held_plan *plan) {
  int pair[2];
  if (process_socketpair(pair) < 0) return failed(-errno, STEP_SOCKETPAIR);
  pid_t pid = process_fork_sibling();
  if (pid == 0) {
    close(broker);
    close(memfd);
    close(pair[0]);
    held_run(plan, pair[1]);
  }
  int error = pid < 0 ? -errno : 0;
  close(pair[1]);
  if (error == 0) return (struct outcome){.reply = {.result = pid}, .fd = pair[0]};
  close(pair[0]);
  return failed(error, STEP_FORK);
}

static struct outcome spawn(int broker, int memfd) {
  struct plan_copy copy;
  int error = plan_read(memfd, &copy);
  if (error < 0) return failed(error, STEP_BROKER);
  struct outcome outcome = fork_held(broker, memfd, &copy.plan);
  plan_free(&copy);
  return outcome;
}

static struct outcome compare(const struct broker_request *request) {
  struct stat one;
  struct stat other;
  if (stat(request->paths[0], &one) < 0 || stat(request->paths[1], &other) < 0) {
    return failed(-errno, STEP_BROKER);
  }
  bool same = one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  return (struct outcome){.reply = {.result = same}, .fd = -1};
}

static bool has_paths(const struct broker_request *request) {
  return memchr(request->paths[0], '\0', BROKER_PATH_CAPACITY) != NULL &&
         memchr(request->paths[1], '\0', BROKER_PATH_CAPACITY) != NULL;
}

static struct outcome serve_one(int socket, const struct broker_request *request, int fd) {
  if (!has_paths(request)) return failed(-EINVAL, STEP_BROKER);
  switch ((enum broker_operation)request->operation) {
    case BROKER_AGENT:
      return start_agent(request);
    case BROKER_SPAWN:
      return spawn(socket, fd);
    case BROKER_SAME:
      return compare(request);
    case BROKER_KEEP:
      keeper_run(socket, request->paths[0], request->paths[1]);
  }
  return failed(-ENOSYS, STEP_BROKER);
}

/* Sends the reply, then closes the descriptors of request and reply. */
static void serve_request(int socket, const struct broker_request *request, int fd) {
  struct outcome outcome = serve_one(socket, request, fd);
  process_send_fd(socket, &outcome.reply, sizeof(outcome.reply), 0, outcome.fd);
  if (outcome.fd >= 0) close(outcome.fd);
  if (fd >= 0) close(fd);
}

static _Noreturn void serve(int socket) {
  struct broker_request request;
  int fd;
  while (process_recv_fd(socket, &request, sizeof(request), 0, &fd) == sizeof(request)) {
    serve_request(socket, &request, fd);
  }
  _exit(0);
}

int broker_start(char **argv) {
  int pair[2];
  if (process_socketpair(pair) < 0) return -1;
  pid_t pid = process_fork();
  if (pid == 0) {
    close(pair[0]);
    rename_process(argv, "slipway-keeper");
    serve(pair[1]);
  }
  close(pair[1]);
  if (pid > 0) return pair[0];
  close(pair[0]);
  return -1;
}
