#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "../common/rename.h"

enum {
  INTERFACES_MAX = 1000, /* that are tried for a name */
  SETTINGS_AT_ONCE = 48, /* their replies wait in a socket buffer */
};

/*
 * All requests that are known are sent before the replies are read: each wait for the other side may cost the
 * wake-up of a processor. A request that cannot be sent shows as a missing reply.
 */
static void send_request(const struct agent *agent, struct agent_request *request, const void *payload,
                       size_t length) {
  request->length = (uint32_t)length;
  memcpy(request->payload, payload, length);
  process_send(agent->socket, request, offsetof(struct agent_request, payload) + length);
}

/* Receives the reply to the oldest request: its result, or a negative errno; a descriptor or -1 in `fd`. */
static int receive_reply(const struct agent *agent, int *fd) {
  struct agent_reply reply;
  ssize_t length = process_recv_fd(agent->socket, &reply, sizeof(reply), 0, fd);
  return length == sizeof(reply) ? reply.result : -EPIPE;
}

/* The same for a request without a descriptor; one that comes along is closed. */
static int receive_result(const struct agent *agent) {
  int fd;
  int result = receive_reply(agent, &fd);
  if (fd >= 0) close(fd);
  return result;
}

static void request_index(const struct agent *agent, const char *name) {
  struct agent_request request = {.operation = AGENT_IFINDEX};
  send_request(agent, &request, name, strlen(name) + 1);
}

static void request_tap(const struct agent *agent, const char *name) {
  struct agent_request request = {.operation = AGENT_OPEN_TAP, .numbers = {1}};
  send_request(agent, &request, name, strlen(name) + 1);
  request_index(agent, name);
}

/* Chooses the first of eth0, eth1 and so on that is free. */
static bool choose_name(struct tap *tap) {
  for (int i = 0; i < INTERFACES_MAX; i++) {
    snprintf(tap->name, sizeof(tap->name), "eth%d", i);
    request_index(&tap->agent, tap->name);
    int index = receive_result(&tap->agent);
    if (index < 0) return index == -ENODEV;
  }
  return false;
}

static bool open_process(struct tap *tap, int pid) {
  tap->process = process_open(pid);
  return tap->process >= 0;
}

static char **command_line; /* of this process */

/* Whoever looks for pasta by its command line finds one process. */
static pid_t fork_agent(void) {
  pid_t pid = process_fork();
  if (pid == 0) rename_process(command_line, "slipway-agent");
  return pid;
}

bool tap_open(struct tap *tap, const struct target *target, char **argv) {
  enum step step;
  bool is_named = target->tap[0] != '\0';
  command_line = argv;
  if (strlen(target->tap) >= sizeof(tap->name)) return false;
  if (target->pid >= 0 && !open_process(tap, target->pid)) return false;
  if (agent_start(target->userns, target->netns, fork_agent, &tap->agent, &step) < 0) return false;
  strcpy(tap->name, target->tap);
  if (is_named) request_tap(&tap->agent, tap->name);
  if (receive_result(&tap->agent) < 0) return false; /* it could not enter */
  if (!is_named && !choose_name(tap)) return false;
  if (!is_named) request_tap(&tap->agent, tap->name);
  if (receive_reply(&tap->agent, &tap->fd) < 0 || tap->fd < 0) return false;
  tap->index = receive_result(&tap->agent);
  return tap->index > 0;
}

/* When a process was started, in clock ticks since the boot: proc_pid_stat(5), field 22. */
static bool put_start(struct connection *connection, int pid) {
  char path[32];
  char text[1024];
  enum { FIELDS_BEHIND_NAME = 20 };
  if (pid < 0) return connection_put(connection, "");
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (fd >= 0) close(fd);
  if (size < 0) return false;
  text[size] = '\0';
  char *rest = strrchr(text, ')'); /* the name may have any characters */
  for (int i = 0; rest != NULL && i < FIELDS_BEHIND_NAME; i++) rest = strchr(rest + 1, ' ');
  if (rest == NULL) return false;
  char *start = rest + 1;
  start[strcspn(start, " ")] = '\0';
  return connection_put(connection, start);
}

bool tap_send(const struct tap *tap, const struct target *target, struct connection *connection) {
  connection_begin(connection, SHARED_TAP, tap->index);
  return connection_put(connection, tap->name) &&
         connection_put_identity(connection, target->netns) &&
         put_start(connection, target->pid) && connection_send(connection, tap->fd);
}

static bool has_no_ipv6(int result) {
#define IS_RESULT(name) result == -name ||
  return SHARED_NO_IPV6(IS_RESULT) false;
#undef IS_RESULT
}

/* The settings of an UP, as they are sent to the agent and answered by it. */
struct settings {
  const struct connection *connection;
  size_t at;        /* of the next one to be sent, in the message */
  uint32_t skipped; /* of the next ones to be answered: they need IPv6 */
  uint32_t optional[SETTINGS_AT_ONCE]; /* of those that are sent */
};

/* Sends the next `count` settings. False: the message is malformed. */
static bool send_settings(const struct agent *agent, struct settings *settings, int32_t count) {
  const struct connection *connection = settings->connection;
  struct agent_request request = {.operation = AGENT_NETLINK};
  struct shared_setting setting;
  for (int32_t i = 0; i < count; i++) {
    if (connection->length - settings->at < sizeof(setting)) return false;
    memcpy(&setting, connection->message + settings->at, sizeof(setting));
    settings->at += sizeof(setting);
    settings->optional[i] = setting.optional;
    size_t size = setting.length;
    if (size > connection->length - settings->at || size > sizeof(request.payload)) return false;
    send_request(agent, &request, connection->message + settings->at, size);
    settings->at += size;
  }
  return true;
}

/* Whether all of them that must succeed did. */
static bool receive_results(const struct agent *agent, struct settings *settings, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    int result = receive_result(agent);
    if (settings->skipped > 0) settings->skipped--;
    else if (result < 0 && has_no_ipv6(result) && settings->optional[i] > 0) {
      settings->skipped = settings->optional[i] - 1;
    } else if (result < 0) return false;
  }
  return true;
}

char *tap_configure(const struct tap *tap, struct connection *connection) {
  struct settings settings = {.connection = connection, .at = sizeof(struct shared_message)};
  int32_t left = connection_head(connection).number;
  if (left < 0 || left > SHARED_SETTINGS_MAX) return NULL;
  while (left > 0) {
    int32_t count = left < SETTINGS_AT_ONCE ? left : SETTINGS_AT_ONCE;
    if (!send_settings(&tap->agent, &settings, count)) return NULL;
    if (!receive_results(&tap->agent, &settings, count)) return NULL;
    left -= count;
  }
  return connection->message + settings.at;
}

bool tap_process_lives(const struct tap *tap) {
  return tap->process < 0 || syscall(SYS_pidfd_send_signal, tap->process, 0, NULL, 0) == 0 ||
         errno == EPERM;
}

void tap_end_agent(struct tap *tap) {
  if (tap->agent.socket < 0) return;
  close(tap->agent.socket);
  process_reap(tap->agent.pid);
  tap->agent.socket = -1;
}

bool tap_pass_agent(struct tap *tap, struct connection *connection) {
  connection_begin(connection, SHARED_AGENT, 0);
  if (!connection_send(connection, tap->agent.socket)) return false;
  close(tap->agent.socket);
  tap->agent.socket = -1;
  return true;
}
