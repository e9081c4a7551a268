#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/agent/agent.h"
#include "../../src/broker/protocol.h"
#include "../../src/held/held.h"
#include "../../src/held/plan.h"
#include "../../src/os/process.h"
#include "../common/pid-file.h"
#include "../common/program.h"
#include "../common/rename.h"
#include "../common/text.h"
#include "keeper.h"
#include "namespaces.h"

struct outcome {
  struct broker_reply reply;
  int fd; /* -1: none; sent, and closed here */
};

static struct outcome failed(int error, enum step step) {
  return (struct outcome){.reply = {.result = error, .step = step}, .fd = -1};
}

/* The process that we serve, if it is our child; otherwise 0: it is our parent. */
static pid_t served;

static struct outcome start_agent(const struct broker_request *request) {
  struct agent agent;
  enum step step = STEP_NONE;
  process_forker *forker = served > 0 ? process_fork : process_fork_sibling;
  int error = agent_start(request->paths[0], request->paths[1], forker, &agent, &step);
  if (error < 0) return failed(error, step);
  int pid = served > 0 ? BROKER_REAPS : agent.pid;
  return (struct outcome){.reply = {.result = pid}, .fd = agent.socket};
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

/* The target's processes may have no number in the PID namespace of the process that we serve. */
static struct outcome open_process(const struct broker_request *request) {
  int fd = process_open(atoi(request->paths[0]));
  return fd < 0 ? failed(-errno, STEP_PIDFD_OPEN) : (struct outcome){.fd = fd};
}

/* It may be below the root of a process of another user namespace, into which only we may look (proc_pid_root(5)). */
static struct outcome open_directory(const struct broker_request *request) {
  int fd = open(request->paths[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? failed(-errno, STEP_BROKER) : (struct outcome){.fd = fd};
}

static struct outcome open_pid_file(const struct broker_request *request) {
  int fd = pid_file_open(request->paths[0]);
  return fd < 0 ? failed(fd, STEP_BROKER) : (struct outcome){.fd = fd};
}

/* As a keeper we wait for nobody. */
static void release_children(void) {
  signal(SIGCHLD, SIG_IGN);
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
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
    case BROKER_PROCESS:
      return open_process(request);
    case BROKER_DIRECTORY:
      return open_directory(request);
    case BROKER_PID_FILE:
      return open_pid_file(request);
    case BROKER_KEEP:
      release_children();
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

static void serve(int socket) {
  struct broker_request request;
  int fd;
  while (process_recv_fd(socket, &request, sizeof(request), 0, &fd) == sizeof(request)) {
    serve_request(socket, &request, fd);
  }
  close(socket);
}

int broker_start(char **argv) {
  int pair[2];
  if (process_socketpair(pair) < 0) return -1;
  pid_t pid = process_fork();
  if (pid == 0) {
    close(pair[0]);
    rename_process(argv, "slipway-keeper");
    serve(pair[1]);
    _exit(0);
  }
  close(pair[1]);
  if (pid > 0) return pair[0];
  close(pair[0]);
  return -1;
}

/* What the process that we served ended with, before its network was up; its parent passes that on. */
static _Noreturn void end_with(pid_t pid) {
  int status = process_reap(pid);
  if (status >= 0 && WIFEXITED(status)) _exit(WEXITSTATUS(status));
  if (status >= 0 && WIFSIGNALED(status)) {
    text_fail("ended by signal %d before the network was up", WTERMSIG(status));
  }
  _exit(1);
}

int broker_become(char **argv, int parent, const char **word) {
  int pair[2];
  if (process_socketpair(pair) < 0) return -1;
  pid_t pid = namespaces_fork(word);
  if (pid == 0) {
    setsid();
    close(pair[0]);
    return pair[1];
  }
  close(pair[1]);
  if (pid > 0) {
    served = pid;
    program_invocation_short_name = text_format("%s", program_name(argv)); /* the argument is overwritten */
    rename_process(argv, "slipway-keeper");
    close(parent);
    serve(pair[0]);
    end_with(pid);
  }
  close(pair[0]);
  return -1;
}
