#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../src/agent/agent.h"
#include "../src/os/process.h"
#include "broker.h"
#include "keeper.h"
#include "places.h"
#include "words.h"

enum {
  MESSAGE_MAX = 192 * 1024, /* below the usual net.core.wmem_default */
  REQUEST_MAX = 32 * 1024,
  PATIENCE_SECONDS = 2, /* for each answer until the network is up */
  ENDLESS = 0,
  MOST_INTERFACES = 1000, /* that are tried for a name */
  MOST_SETTINGS = 64,     /* their answers wait in a socket's buffer */
  STATUS_MAX = 255,
  API_UMASK = 0177,
  API_BACKLOG = 4096,
};

/* Where the TAP is opened. */
struct place {
  const char *netns;
  const char *userns; /* "": the owner of netns */
  const char *tap;
  int pid; /* -1: the namespace is not that of a process */
};

/* All that is open, and all that was done that has to be undone; descriptors are -1 where there is none. */
static struct {
  char **argv;
  const char *name; /* by which we were called */
  int daemon;
  int tap;
  int api;
  int kept; /* a memfd */
  int process;
  pid_t keeper; /* 0: there is none */
  struct shared_plan plan;
  struct place place;
  const char *api_path;
  struct stat api_file;
} shared = {.daemon = -1, .tap = -1, .api = -1, .kept = -1, .process = -1};

static char message[MESSAGE_MAX + 1];
static char plan_texts[REQUEST_MAX];

/* ---- who asks, and whom ----------------------------------------------------------------------- */

static bool has_argument(char **argv, const char *word) {
  for (char **argument = argv + 1; *argument != NULL && strcmp(*argument, "--") != 0; argument++) {
    if (strcmp(*argument, word) == 0) return true;
  }
  return false;
}

static const char *name_of(char **argv) {
  const char *slash = strrchr(argv[0], '/');
  return slash == NULL ? argv[0] : slash + 1;
}

bool shared_is_wanted(char **argv) {
  const char *name = name_of(argv);
  if (argv[1] == NULL) return false;
  if (strcmp(name, "slirp4netns") != 0 && strcmp(argv[1], "attach") != 0) return false;
  const char *variable = getenv("SLIPWAY_SHARED");
  return has_argument(argv, "--shared") || (variable != NULL && strcmp(variable, "1") == 0);
}

/* Root may serve nobody else's network here: its host is not ours. */
static bool is_ours(int socket) {
  struct ucred peer;
  socklen_t length = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         peer.uid == geteuid();
}

static void limit_waiting(int seconds) {
  struct timeval limit = {.tv_sec = seconds};
  setsockopt(shared.daemon, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(shared.daemon, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* An answer is waited for so many seconds, or ENDLESS. */
static bool connect_daemon(int seconds) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!places_launchers(&address)) return false;
  shared.daemon = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (shared.daemon < 0) return false;
  limit_waiting(seconds);
  return connect(shared.daemon, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
         is_ours(shared.daemon);
}

/* ---- what is asked for ------------------------------------------------------------------------ */

static bool put_text(size_t *length, const char *text) {
  size_t size = strlen(text) + 1;
  if (size > REQUEST_MAX - *length) return false;
  memcpy(message + *length, text, size);
  *length += size;
  return true;
}

static bool put_identity(size_t *length, const char *path) {
  struct stat status = {0};
  char text[64];
  if (stat(path, &status) < 0 && errno != ENOENT) return false;
  snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)status.st_dev,
           (unsigned long long)status.st_ino);
  return put_text(length, text);
}

static bool send_request(void) {
  struct shared_message head = {.kind = SHARED_REQUEST, .number = SHARED_VERSION};
  size_t length = sizeof(head);
  memcpy(message, &head, sizeof(head));
  if (!put_identity(&length, "/proc/self/ns/net") || !put_identity(&length, "/etc/resolv.conf")) {
    return false;
  }
  char pid[16];
  snprintf(pid, sizeof(pid), "%d", getpid());
  if (!put_text(&length, pid) || !put_text(&length, shared.name)) return false;
  for (char **argument = shared.argv + 1; *argument != NULL; argument++) {
    if (!put_text(&length, *argument)) return false;
  }
  return process_send(shared.daemon, message, length) == (ssize_t)length;
}

/* The length of the next message, with a NUL behind it; 0: there is none. */
static size_t receive_any(void) {
  ssize_t length = process_recv(shared.daemon, message, MESSAGE_MAX);
  if (length < (ssize_t)sizeof(struct shared_message)) return 0;
  message[length] = '\0';
  return (size_t)length;
}

/* Whether `message`, of that length, is one of that kind. */
static bool is_message(size_t length, enum shared_from_daemon kind) {
  uint32_t received;
  memcpy(&received, message, sizeof(received));
  return length > 0 && received == kind;
}

/* The length of a message of that kind; 0: it is another, or there is none. */
static size_t receive(enum shared_from_daemon kind) {
  size_t length = receive_any();
  return is_message(length, kind) ? length : 0;
}

static const char *take_text(const char **rest, const char *end) {
  const char *text = *rest;
  size_t length = strnlen(text, (size_t)(end - text));
  if (text + length == end) return NULL;
  *rest = text + length + 1;
  return text;
}

static bool take_plan(size_t length) {
  if (!is_message(length, SHARED_PLAN) || length < sizeof(shared.plan)) return false;
  if (length - sizeof(shared.plan) > sizeof(plan_texts)) return false;
  memcpy(&shared.plan, message, sizeof(shared.plan));
  size_t size = length - sizeof(shared.plan);
  memcpy(plan_texts, message + sizeof(shared.plan), size);
  const char *rest = plan_texts;
  const char *end = plan_texts + size;
  shared.place.pid = shared.plan.pid;
  return (shared.place.netns = take_text(&rest, end)) != NULL &&
         (shared.place.userns = take_text(&rest, end)) != NULL &&
         (shared.place.tap = take_text(&rest, end)) != NULL &&
         (shared.api_path = take_text(&rest, end)) != NULL;
}

/*
 * The daemon reads guests' packets, and we may have rights that it has not. So what it says we do only
 * if our caller said it, too, and for that: as the value of the option, or as an argument by itself. Where
 * we can't tell, a process is started that parses all of the command line.
 */
static const char *value_in(const char *argument, const char *option) {
  size_t length = strlen(option);
  return strncmp(argument, option, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                           : NULL;
}

/* Whether an argument is the option whose value comes next, also as the last letter of several. */
static bool is_option(const char *argument, const char *option, char letter) {
  if (argument[0] != '-') return false;
  if (argument[1] == '-') return strcmp(argument, option) == 0;
  return argument[1] != '\0' && argument[strlen(argument) - 1] == letter;
}

/* `letter`: by which the option is called, too; 0: by none. */
static bool is_value(const char *text, const char *option, char letter) {
  for (char **argument = shared.argv + 1; *argument != NULL; argument++) {
    const char *value = value_in(*argument, option);
    if (value == NULL && is_option(*argument, option, letter)) value = argument[1];
    if (value != NULL && strcmp(value, text) == 0) return true;
  }
  return false;
}

/* -1 is none. */
static bool is_given_fd(int fd, const char *option, char letter) {
  char text[16];
  snprintf(text, sizeof(text), "%d", fd);
  return fd < 0 ? fd == -1 : is_value(text, option, letter);
}

/* An argument that may be followed by a process, as it takes no value or brings it along. */
static bool is_flag(const char *argument) {
  static const char *const flags[] = {"--configure", "--exit-with-netns", "--enable-ipv6",
                                      "--disable-host-loopback", "--enable-sandbox",
                                      "--enable-seccomp", "--disable-dns", "--shared",
                                      "--no-api-socket", "--host-loopback", "--no-ipv6", "--"};
  if (argument[0] != '-') return true;
  if (argument[1] != '-') return strspn(argument + 1, "c6") == strlen(argument + 1);
  if (strchr(argument, '=') != NULL) return true; /* as podman's --netns-type=path: it has its value */
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
    if (strcmp(argument, flags[i]) == 0) return true;
  }
  return false;
}

static bool is_argument(const char *text) {
  for (char **argument = shared.argv + 1; *argument != NULL; argument++) {
    bool is_free = argument == shared.argv + 1 || is_flag(argument[-1]);
    if (is_free && strcmp(*argument, text) == 0) return true;
  }
  return false;
}

/* The digits of /proc/PID/ns/net, or NULL for another path. */
static const char *pid_of(const char *netns) {
  static char digits[16];
  int length = 0;
  if (sscanf(netns, "/proc/%15[0-9]/ns/net%n", digits, &length) != 1 || length == 0) return NULL;
  return netns[length] == '\0' ? digits : NULL;
}

/* By a path, which has a slash, or by a process; with that the network ends. */
static bool is_given_place(const struct place *place) {
  const char *digits = pid_of(place->netns);
  if (place->pid >= 0 && (digits == NULL || atoi(digits) != place->pid)) return false;
  if (place->userns[0] != '\0' && !is_value(place->userns, "--userns-path", '\0')) return false;
  if (digits != NULL && is_argument(digits)) return true;
  return strchr(place->netns, '/') != NULL && is_argument(place->netns);
}

static bool is_given_tap(const char *name) {
  return name[0] == '\0' || strcmp(name, "tap0") == 0 || is_argument(name) ||
         is_value(name, "--ifname", '\0');
}

static bool is_socket_in(const char *path, const char *directory, int length) {
  char own[sizeof(((struct sockaddr_un *)0)->sun_path) + 16];
  snprintf(own, sizeof(own), "%.*s/%d.sock", length, directory, getpid());
  return strcmp(path, own) == 0;
}

/*
 * `attach` has one that is called by our pid. Where it is src/cli/api-path.ts says, by the environment of the
 * daemon: beside the daemon's own, or where it is without XDG_RUNTIME_DIR.
 */
static bool is_own_api(const char *path) {
  struct sockaddr_un address;
  char usual[40];
  if (!places_launchers(&address)) return false;
  const char *end = strstr(address.sun_path, "/daemon/launchers.sock");
  if (end != NULL && is_socket_in(path, address.sun_path, (int)(end - address.sun_path))) return true;
  int length = geteuid() == 0 ? snprintf(usual, sizeof(usual), "/run/slipway")
                              : snprintf(usual, sizeof(usual), "/run/user/%u/slipway", geteuid());
  return is_socket_in(path, usual, length);
}

static bool is_given_api(const char *path) {
  return path[0] == '\0' || is_value(path, "--api-socket", 'a') || is_own_api(path);
}

static bool plan_is_given(void) {
  return is_given_place(&shared.place) && is_given_tap(shared.place.tap) &&
         is_given_api(shared.api_path) &&
         is_given_fd(shared.plan.ready_fd, "--ready-fd", 'r') &&
         is_given_fd(shared.plan.exit_fd, "--exit-fd", 'e');
}

/* ---- what it most likely means ----------------------------------------------------------------- */

static bool is_number(const char *text) {
  return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/*
 * While the daemon reads the command line we open the TAP where callers of slirp4netns say it: their
 * last arguments are a process, or a path, and the TAP's name. The plan tells whether that was right;
 * if it was not, this TAP is closed.
 */
static bool guess(struct place *place) {
  size_t count = 0;
  bool is_path = false;
  for (char **argument = shared.argv; *argument != NULL; argument++, count++) {
    if (strncmp(*argument, "--target-type", strlen("--target-type")) == 0) return false;
    if (strncmp(*argument, "--userns-path", strlen("--userns-path")) == 0) return false;
    if (strncmp(*argument, "--netns-type", strlen("--netns-type")) != 0) continue;
    if (strcmp(*argument, "--netns-type=path") != 0) return false;
    is_path = true;
  }
  static char netns[PATH_MAX];
  if (count < 3 || strcmp(shared.name, "slirp4netns") != 0) return false;
  const char *target = shared.argv[count - 2];
  const char *tap = shared.argv[count - 1];
  if (target[0] == '-' || tap[0] == '-' || (!is_path && !is_number(target))) return false;
  snprintf(netns, sizeof(netns), is_path ? "%s" : "/proc/%s/ns/net", target);
  *place = (struct place){netns, "", tap, is_path ? -1 : atoi(target)};
  return true;
}

static bool is_same_place(const struct place *a, const struct place *b) {
  return strcmp(a->netns, b->netns) == 0 && strcmp(a->userns, b->userns) == 0 &&
         strcmp(a->tap, b->tap) == 0 && a->pid == b->pid;
}

/* ---- what it ends with ------------------------------------------------------------------------ */

/*
 * Whether the caller gave us the descriptor: by now its number may be one of ours. slipway.c has listed
 * those that were open; without /proc there is no list.
 */
static bool is_open(int fd) {
  const char *list = getenv("SLIPWAY_FDS");
  if (fd < 0) return true;
  if (list == NULL) return fcntl(fd, F_GETFD) >= 0;
  while (*list != '\0') {
    char *end;
    if (strtol(list, &end, 10) == fd) return true;
    if (*end == '\0') break;
    list = end + 1;
  }
  return false;
}

/* What had its number when its namespace was entered may have been another one. */
static bool process_lives(void) {
  return shared.process < 0 || syscall(SYS_pidfd_send_signal, shared.process, 0, NULL, 0) == 0 ||
         errno == EPERM;
}

static bool open_process(int pid) {
  shared.process = (int)syscall(SYS_pidfd_open, pid, 0);
  return shared.process >= 0;
}

/* ---- the API's socket ------------------------------------------------------------------------- */

static int bind_api(const struct sockaddr_un *address) {
  mode_t before = umask(API_UMASK);
  int result = bind(shared.api, (const struct sockaddr *)address, sizeof(*address));
  umask(before);
  return result;
}

/* A socket on which nobody listens is what a killed process has left. */
static bool remove_stale(const struct sockaddr_un *address) {
  struct stat status;
  if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) return false;
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int result = connect(probe, (const struct sockaddr *)address, sizeof(*address));
  bool is_stale = result < 0 && errno == ECONNREFUSED;
  close(probe);
  return is_stale && unlink(address->sun_path) == 0;
}

static bool listen_at(const struct sockaddr_un *address) {
  shared.api = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (shared.api < 0) return false;
  if (bind_api(address) < 0 &&
      (errno != EADDRINUSE || !remove_stale(address) || bind_api(address) < 0)) {
    return false;
  }
  return lstat(address->sun_path, &shared.api_file) == 0 && listen(shared.api, API_BACKLOG) == 0;
}

static bool send_api(void) {
  if (shared.api_path[0] == '\0') return true;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(shared.api_path) >= sizeof(address.sun_path)) return false;
  strcpy(address.sun_path, shared.api_path);
  struct shared_message head = {.kind = SHARED_API};
  return listen_at(&address) &&
         process_send_fd(shared.daemon, &head, sizeof(head), 0, shared.api) == sizeof(head);
}

static void remove_api(void) {
  struct stat now;
  if (shared.api_file.st_ino == 0 || lstat(shared.api_path, &now) < 0) return;
  if (now.st_dev != shared.api_file.st_dev || now.st_ino != shared.api_file.st_ino) return;
  unlink(shared.api_path);
}

/* Removes the file of the API's socket when we are killed: broker.h. */
static void start_keeper(void) {
  int pair[2];
  if (shared.api_file.st_ino == 0 || process_socketpair(pair) < 0) return;
  pid_t pid = process_fork();
  if (pid == 0) {
    close(pair[0]);
    broker_rename(shared.argv, "slipway-keeper");
    keeper_run(pair[1], "/etc/resolv.conf", shared.api_path);
  }
  close(pair[1]);
  if (pid < 0) close(pair[0]);
  else shared.keeper = pid;
}

/* The process that we become has one of its own. */
static void end_keeper(void) {
  if (shared.keeper == 0) return;
  kill(shared.keeper, SIGKILL);
  process_reap(shared.keeper);
}

/* ---- in the namespace ------------------------------------------------------------------------- */

/*
 * The agent is told all that is known already, and heard afterwards: each time that one waits for the
 * other may cost the wake-up of a processor. Where it cannot be told it is gone, and is not heard either.
 */
static void tell_agent(const struct agent *agent, struct agent_request *request, const void *payload,
                       size_t length) {
  request->length = (uint32_t)length;
  memcpy(request->payload, payload, length);
  process_send(agent->socket, request, offsetof(struct agent_request, payload) + length);
}

/* The result of what it was told first, a negative errno when it failed; a descriptor or -1 in `fd`. */
static int hear_agent(const struct agent *agent, int *fd) {
  struct agent_reply reply;
  ssize_t length = process_recv_fd(agent->socket, &reply, sizeof(reply), 0, fd);
  return length == sizeof(reply) ? reply.result : -EPIPE;
}

/* The same where no descriptor is asked for: what comes along is closed. */
static int hear_result(const struct agent *agent) {
  int fd;
  int result = hear_agent(agent, &fd);
  if (fd >= 0) close(fd);
  return result;
}

static void tell_to_find(const struct agent *agent, const char *name) {
  struct agent_request request = {.operation = AGENT_IFINDEX};
  tell_agent(agent, &request, name, strlen(name) + 1);
}

static void tell_to_open(const struct agent *agent, const char *name) {
  struct agent_request request = {.operation = AGENT_OPEN_TAP, .numbers = {1}};
  tell_agent(agent, &request, name, strlen(name) + 1);
  tell_to_find(agent, name);
}

/* The first of eth0, eth1 and so on that is free; NULL: none is. */
static const char *choose_name(const struct agent *agent) {
  static char name[IFNAMSIZ];
  for (int i = 0; i < MOST_INTERFACES; i++) {
    snprintf(name, sizeof(name), "eth%d", i);
    tell_to_find(agent, name);
    int index = hear_result(agent);
    if (index < 0) return index == -ENODEV ? name : NULL;
  }
  return NULL;
}

/* When a process was started, in clock ticks since the boot: proc_pid_stat(5), field 22. */
static bool put_start(size_t *length, int pid) {
  char path[32];
  char text[1024];
  enum { FIELDS_BEHIND_NAME = 20 };
  if (pid < 0) return put_text(length, "");
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
  return put_text(length, start);
}

static bool send_tap(const struct place *place, const char *name, int index) {
  struct shared_message head = {.kind = SHARED_TAP, .number = index};
  size_t length = sizeof(head);
  memcpy(message, &head, sizeof(head));
  return put_text(&length, name) && put_identity(&length, place->netns) &&
         put_start(&length, place->pid) &&
         process_send_fd(shared.daemon, message, length, 0, shared.tap) == (ssize_t)length;
}

/* The process is opened before its namespace, so that it can be told whether it was still the same. */
static bool open_tap(struct agent *agent, const struct place *place) {
  enum step step;
  const char *name = place->tap;
  bool is_named = name[0] != '\0';
  if (strlen(name) >= IFNAMSIZ || (place->pid >= 0 && !open_process(place->pid))) return false;
  if (agent_start(place->userns, place->netns, process_fork, agent, &step) < 0) return false;
  if (is_named) tell_to_open(agent, name);
  if (hear_result(agent) < 0) return false; /* it has not entered */
  if (!is_named && (name = choose_name(agent)) == NULL) return false;
  if (!is_named) tell_to_open(agent, name);
  if (hear_agent(agent, &shared.tap) < 0 || shared.tap < 0) return false;
  int index = hear_result(agent);
  return index > 0 && send_tap(place, name, index);
}

/* disable_ipv6 gives EACCES, a kernel without it does not know the family: src/attach.ts. */
static bool has_no_ipv6(int result) {
  return result == -EACCES || result == -EAFNOSUPPORT || result == -EOPNOTSUPP;
}

/* Tells the agent the settings of an UP. Where the words begin behind them, or 0: they are none. */
static size_t tell_settings(const struct agent *agent, size_t length, int32_t count,
                            struct shared_setting settings[]) {
  struct agent_request request = {.operation = AGENT_NETLINK};
  size_t at = sizeof(struct shared_message);
  for (int32_t i = 0; i < count; i++) {
    if (length - at < sizeof(settings[i])) return 0;
    memcpy(&settings[i], message + at, sizeof(settings[i]));
    at += sizeof(settings[i]);
    size_t size = settings[i].length;
    if (size > length - at || size > sizeof(request.payload)) return 0;
    tell_agent(agent, &request, message + at, size);
    at += size;
  }
  return at;
}

/* Whether all were made that must be. */
static bool hear_settings(const struct agent *agent, int32_t count,
                          const struct shared_setting settings[]) {
  uint32_t left_out = 0;
  for (int32_t i = 0; i < count; i++) {
    int result = hear_result(agent);
    if (left_out > 0) left_out--; /* it could not succeed */
    else if (result < 0 && has_no_ipv6(result) && settings[i].optional > 0) {
      left_out = settings[i].optional - 1;
    } else if (result < 0) return false;
  }
  return true;
}

/* Carries out the settings of an UP. Where the words begin behind them, or 0: one failed. */
static size_t configure(const struct agent *agent, size_t length) {
  struct shared_message head;
  struct shared_setting settings[MOST_SETTINGS];
  memcpy(&head, message, sizeof(head));
  if (head.number < 0 || head.number > MOST_SETTINGS) return 0;
  size_t words = tell_settings(agent, length, head.number, settings);
  return words > 0 && hear_settings(agent, head.number, settings) ? words : 0;
}

static void end_agent(const struct agent *agent) {
  if (agent->socket < 0) return;
  close(agent->socket);
  process_reap(agent->pid);
}

/* ---- up, and to the end ----------------------------------------------------------------------- */

static void say(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, text, length);
    if (written <= 0) return; /* nobody reads it */
    text += written;
    length -= (size_t)written;
  }
}

static void tell_ready(char *words) {
  words_clean(words, strlen(words));
  say(STDOUT_FILENO, words, strlen(words));
  if (shared.plan.ready_fd < 0) return;
  say(shared.plan.ready_fd, "1", 1);
  close(shared.plan.ready_fd);
}

/* Waits until the daemon has given back what it had of ours, but not for one that goes on to talk. */
static void take_leave(void) {
  int64_t until = process_now_ms() + PATIENCE_SECONDS * INT64_C(1000);
  limit_waiting(PATIENCE_SECONDS);
  if (shutdown(shared.daemon, SHUT_WR) < 0) return;
  while (process_recv(shared.daemon, message, MESSAGE_MAX) > 0 && process_now_ms() <= until) continue;
}

/*
 * Whoever waits for our end finds ports and socket free. And the daemon's copy of the TAP is not the
 * last one: that one's close waits while the kernel takes the interface away, 20 ms.
 */
static _Noreturn void end(int status) {
  remove_api();
  take_leave();
  _exit(status);
}

/* What is ignored stays so, as `nohup` wants it. */
static sigset_t end_signals(void) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    struct sigaction action;
    sigaction(numbers[i], NULL, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&set, numbers[i]);
  }
  return set;
}

static bool watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* A set of all that we wait for, or -1: EPERM, the exit-fd is a file. */
static int watch_all(int signals) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return -1;
  if (watch(epoll, signals) && watch(epoll, shared.daemon) && watch(epoll, shared.plan.exit_fd) &&
      watch(epoll, shared.process)) {
    return epoll;
  }
  close(epoll);
  return -1;
}

static void keep(size_t length) {
  if (shared.kept < 0) shared.kept = memfd_create("kept", MFD_CLOEXEC);
  if (shared.kept < 0 || ftruncate(shared.kept, 0) < 0) return;
  lseek(shared.kept, 0, SEEK_SET);
  say(shared.kept, message + sizeof(uint32_t), length - sizeof(uint32_t));
}

/* A number that is no status would be cut to one: of 256 to that of success. */
static int status_of(int32_t number) {
  return number >= 0 && number <= STATUS_MAX ? number : 1;
}

/* One line. */
static void tell_end(char *words) {
  size_t length = strcspn(words, "\n");
  words_clean(words, length);
  fprintf(stderr, "%s: %.*s\n", program_invocation_short_name, (int)length, words);
}

/* False: the daemon is gone. */
static bool hear_daemon(void) {
  ssize_t length = process_recv(shared.daemon, message, MESSAGE_MAX);
  struct shared_message head = {0};
  if (length < (ssize_t)sizeof(head.kind)) return false;
  memcpy(&head, message, (size_t)length < sizeof(head) ? (size_t)length : sizeof(head));
  message[length] = '\0';
  if (head.kind == SHARED_KEEP) keep((size_t)length);
  if (head.kind != SHARED_END) return true;
  if (length > (ssize_t)sizeof(head)) tell_end(message + sizeof(head));
  end(status_of(head.number));
}

/* Returns when the daemon is gone. */
static void stay(int epoll) {
  struct epoll_event event;
  for (;;) {
    int count = epoll_wait(epoll, &event, 1, -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 || event.data.fd != shared.daemon) end(count < 0 ? 1 : 0);
    if (!hear_daemon()) return;
  }
}

static int passed_on(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFD, 0);
  return fd;
}

static void hand_over(void) {
  char text[64];
  end_keeper();
  if (shared.kept >= 0) lseek(shared.kept, 0, SEEK_SET);
  snprintf(text, sizeof(text), "%d,%d,%d", passed_on(shared.tap), passed_on(shared.api),
           passed_on(shared.kept));
  setenv("SLIPWAY_TAKEN", text, 1);
  close(shared.daemon);
  if (shared.process >= 0) close(shared.process);
}

static void serve_to_the_end(int signals, const struct agent *agent, char *words) {
  int epoll = watch_all(signals);
  if (epoll >= 0) {
    limit_waiting(ENDLESS);
    tell_ready(words);
  }
  end_agent(agent); /* nobody waits for that */
  if (epoll < 0) return;
  start_keeper();
  stay(epoll);
  close(epoll);
  hand_over();
}

/* From here on signals end us in our own way; the process that is started instead gets them back. */
static void run(const struct agent *agent, char *words) {
  sigset_t set = end_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &set, &before);
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct sigaction pipe_before;
  sigaction(SIGPIPE, &ignore, &pipe_before);
  int signals = signalfd(-1, &set, SFD_CLOEXEC);
  if (signals >= 0) serve_to_the_end(signals, agent, words);
  if (signals >= 0) close(signals);
  sigaction(SIGPIPE, &pipe_before, NULL);
  sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The process that is started instead will open a TAP of that name. */
static void undo(void) {
  int *fds[] = {&shared.daemon, &shared.tap, &shared.api, &shared.process};
  remove_api();
  take_leave();
  for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
    if (*fds[i] >= 0) close(*fds[i]);
  }
}

/* All until it is known what the caller wants. */
static bool prepare(struct agent *agent) {
  struct place guessed;
  if (!connect_daemon(PATIENCE_SECONDS) || !send_request()) return false;
  bool is_guessed = guess(&guessed);
  if (is_guessed && !open_tap(agent, &guessed)) return false;
  if (!take_plan(receive_any()) || !plan_is_given()) return false;
  return is_guessed ? is_same_place(&guessed, &shared.place) : open_tap(agent, &shared.place);
}

/* What is to be said when the network is up, in `message`; NULL: it could not be. */
static char *begin(struct agent *agent) {
  if (!prepare(agent) || !send_api()) return NULL;
  if (!is_open(shared.plan.ready_fd) || !is_open(shared.plan.exit_fd)) return NULL;
  size_t length = receive(SHARED_UP);
  size_t words = length == 0 ? 0 : configure(agent, length);
  return words > 0 && process_lives() ? message + words : NULL;
}

void shared_serve(char **argv) {
  shared.argv = argv;
  shared.name = name_of(argv);
  struct agent agent = {.socket = -1};
  char *words = begin(&agent);
  if (words != NULL) run(&agent, words);
  else end_agent(&agent);
  if (getenv("SLIPWAY_TAKEN") == NULL) undo();
}

/* ---- commands that ask the daemon -------------------------------------------------------------- */

/* The length of the answer, after what has to be done for it; 0: there is none. */
static size_t ask(struct agent *agent) {
  size_t length = receive_any();
  if (!is_message(length, SHARED_PLAN)) return length;
  if (!take_plan(length) || !plan_is_given() || !open_tap(agent, &shared.place)) return 0;
  length = receive(SHARED_UP);
  if (length == 0 || configure(agent, length) == 0 || !process_lives()) return 0;
  struct shared_message done = {.kind = SHARED_DONE};
  return process_send(shared.daemon, &done, sizeof(done)) == sizeof(done) ? receive_any() : 0;
}

static _Noreturn void tell_answer(size_t length) {
  struct shared_message head;
  memcpy(&head, message, sizeof(head));
  words_clean(message + sizeof(head), length - sizeof(head));
  say(STDOUT_FILENO, message + sizeof(head), length - sizeof(head));
  _exit(status_of(head.number));
}

/* It is waited without end, as the process that is started instead would: what the daemon has begun must
 * not be asked for again. */
void shared_ask(char **argv) {
  shared.argv = argv;
  shared.name = name_of(argv);
  struct agent agent = {.socket = -1};
  size_t length = connect_daemon(ENDLESS) && send_request() ? ask(&agent) : 0;
  if (is_message(length, SHARED_ANSWER)) tell_answer(length);
  end_agent(&agent);
  undo();
}
