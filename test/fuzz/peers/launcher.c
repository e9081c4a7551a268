/*
  * The launcher in shared mode, with a daemon that may say anything: all its messages are in the socket before the
  * launcher reads. Its agent also answers anything, except for one in many, which is real.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../native/launcher/common/printable.h"
#include "../../../native/src/agent/agent.h"
#include "../../../native/src/os/process.h"
#include "peer.h"

enum { READY_FD = 107, EXIT_FD, BEHIND, REAL_INPUTS = 512, FAKE_PID = INT32_MAX };

static jmp_buf ended;
static int daemon_end; /* the launcher's */
static struct input *agent_input;
static const char *const *given; /* the namespaces that the command line names */
static unsigned inputs;

/* ---- what the launcher calls --------------------------------------------------------------------- */

static int connect_or_be(int fd, const struct sockaddr *address, socklen_t length) {
  const char *path = ((const struct sockaddr_un *)address)->sun_path;
  if (strstr(path, "launchers.sock") == NULL) return connect(fd, address, length);
  return dup3(daemon_end, fd, O_CLOEXEC) < 0 ? -1 : 0;
}

static pid_t no_fork(void) {
  errno = EAGAIN;
  return -1;
}

static void queue_replies(int socket) {
  for (int count = take_byte(agent_input) % 8; count > 0; count--) {
    struct agent_reply reply[2] = {{.result = (int8_t)take_byte(agent_input)}, {0}};
    if (reply[0].result < -100) reply[0].result = -(EACCES);
    reply[0].step = take_byte(agent_input);
    uint8_t shape = take_byte(agent_input);
    send_from(agent_input, socket, reply, shape > 240 ? shape - 240u : sizeof(reply[0]));
  }
}

static int start_an_agent(const char *userns, const char *netns, process_forker *forker,
                          struct agent *agent, enum step *step) {
  (void)forker;
  bool is_given = false;
  for (const char *const *each = given; *each != NULL; each++) is_given |= strcmp(*each, netns) == 0;
  if (!is_given || userns[0] != '\0') found("a namespace that nobody named");
  if (inputs % REAL_INPUTS == 0) return agent_start(userns, netns, process_fork, agent, step);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
    give_up("socketpair");
  }
  queue_replies(pair[1]);
  *agent = (struct agent){.pid = FAKE_PID, .socket = pair[0]};
  return 0;
}

static int reap_a_child(pid_t pid) {
  return pid == FAKE_PID ? 0 : process_reap(pid);
}

static _Noreturn void exit_with(int status) {
  if (status < 0 || status > 255) found("a status that is none");
  longjmp(ended, 1);
}

static void check_words(const char *text, size_t length) {
  static char copy[256 * 1024];
  if (length > sizeof(copy)) found("more words than a message has");
  memcpy(copy, text, length);
  printable_make(copy, length);
  if (memcmp(copy, text, length) != 0) found("words that order the terminal about");
}

static int kept_fd(void);

static ssize_t write_if_named(int fd, const void *bytes, size_t length) {
  if (fd == STDOUT_FILENO) {
    check_words(bytes, length);
    return (ssize_t)length;
  }
  if (fd != READY_FD && fd != kept_fd()) found("a descriptor that nobody named");
  return write(fd, bytes, length);
}

__attribute__((format(printf, 2, 3))) static int print_line(FILE *file, const char *format, ...) {
  static char text[256 * 1024];
  va_list arguments;
  (void)file;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  if (length <= 0 || strchr(text, '\n') != text + length - 1) found("more than one line");
  check_words(text, (size_t)length);
  return length;
}

#define connect connect_or_be
#define agent_start start_an_agent
#define process_fork no_fork
#define process_reap reap_a_child
#define _exit exit_with
#define write write_if_named
#define fprintf print_line
#include "../../../native/launcher/shared/api-socket.c"
#include "../../../native/launcher/shared/ask.c"
#include "../../../native/launcher/shared/connection.c"
#include "../../../native/launcher/shared/serve.c"
#include "../../../native/launcher/shared/session.c"
#include "../../../native/launcher/shared/tap.c"
#undef connect
#undef agent_start
#undef process_fork
#undef process_reap
#undef _exit
#undef write
#undef fprintf

static int kept_fd(void) {
  return shared.kept;
}

/* ---- command lines ------------------------------------------------------------------------------ */

static char pid[16];
static char netns_of_pid[32];
static char directory[] = "/tmp/fuzz-launcher-XXXXXX";
static char api[64];

static const struct command {
  char *argv[10];
  const char *given[3];
} commands[] = {
    {{"slirp4netns", "-c", "-r", "107", "-e", "108", pid, "tap0", NULL}, {netns_of_pid, NULL}},
    {{"slirp4netns", "--netns-type=path", "-c", "/proc/self/ns/net", "tap1", NULL},
     {"/proc/self/ns/net", NULL}},
    {{"slipway", "attach", "--ready-fd=107", "--mtu", "1", "--cidr=", pid, "tap2", NULL},
     {netns_of_pid, NULL}},
    {{"slipway", "attach", "-a", api, "-r", "107", "/proc/self/ns/net", NULL},
     {"/proc/self/ns/net", NULL}},
    {{"slipway", "network", "connect", "web", pid, "--ip=", "--name", "1", NULL},
     {netns_of_pid, NULL}},
    {{"slipway", "ps", "--format=", NULL}, {NULL}},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

/* ---- the daemon's messages ------------------------------------------------------------------------ */

static char message_out[256 * 1024];
static size_t out_length;

static void put(const void *bytes, size_t length) {
  if (length > sizeof(message_out) - out_length) return;
  memcpy(message_out + out_length, bytes, length);
  out_length += length;
}

static void put_word(int32_t word) {
  put(&word, sizeof(word));
}

/* A valid, nearly valid or random one; most with their NUL. */
static void put_text_of(struct input *input) {
  const char *const texts[] = {netns_of_pid, "/proc/self/ns/net", "", "tap0", "tap1", "tap2", api,
                               "/proc/1/ns/net", "/proc/1/task/1/ns/net", "1", "107", "eth0"};
  enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };
  char bytes[512];
  uint8_t shape = take_byte(input);
  if (shape < 220) put(texts[shape % TEXT_COUNT], strlen(texts[shape % TEXT_COUNT]));
  else put(bytes, take_bytes(input, bytes, sizeof(bytes)));
  if (shape != 255) put("", 1);
}

static int32_t take_number(struct input *input) {
  const int32_t numbers[] = {-1, READY_FD, EXIT_FD, getpid(), 1, 0, -2, 2};
  uint8_t shape = take_byte(input);
  return shape < 250 ? numbers[shape % 8] : (int32_t)take_word(input);
}

/* Half of them as the command line wants it. */
static void put_plan(struct input *input, const struct command *command) {
  uint8_t shape = take_byte(input);
  put_word(SHARED_PLAN);
  if ((shape & 1) == 0) {
    for (int i = 0; i < 3; i++) put_word(take_number(input));
    for (int i = 0; i < 4; i++) put_text_of(input);
    return;
  }
  size_t index = (size_t)(command - commands);
  const char *taps[] = {"tap0", "tap1", "tap2", "tap0", "", ""};
  bool has_pid = command->given[0] == netns_of_pid;
  put_word((shape & 2) == 0 && index != 1 && index < 4 ? READY_FD : -1);
  put_word((shape & 4) == 0 && index == 0 ? EXIT_FD : -1);
  put_word(has_pid ? getpid() : -1);
  const char *netns = command->given[0] == NULL ? "" : command->given[0];
  put(netns, strlen(netns) + 1);
  put("", 1);
  put(taps[index], strlen(taps[index]) + 1);
  const char *own = index == 3 ? api : "";
  put(own, strlen(own) + 1);
}

static void put_settings(struct input *input) {
  static const uint8_t loopback_up[] = {32, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                        0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
  uint8_t bytes[600];
  int count = take_byte(input) % 68;
  uint8_t shape = take_byte(input);
  if (count < 60) count %= 4;
  put_word(shape < 230 ? count : (int32_t)take_word(input));
  for (int i = 0; i < count; i++) {
    uint8_t kind = take_byte(input);
    size_t length = (kind & 1) != 0 ? take_bytes(input, bytes, sizeof(bytes)) : sizeof(loopback_up);
    put_word(kind > 250 ? (int32_t)take_word(input) : (int32_t)length);
    put_word(take_byte(input) % 4);
    put((kind & 1) != 0 ? bytes : loopback_up, length);
  }
}

static void put_words(struct input *input) {
  uint8_t bytes[512];
  put(bytes, take_bytes(input, bytes, sizeof(bytes)));
  if (take_byte(input) < 250) return;
  size_t length = sizeof(message_out) - out_length - (size_t)take_byte(input) * 512;
  memset(message_out + out_length, 'x', length);
  out_length += length;
}

static void say_one(struct input *input, int socket, const struct command *command) {
  uint8_t kind = take_byte(input);
  out_length = 0;
  switch (kind % 7) {
    case 0:
      put_plan(input, command);
      break;
    case 1:
      put_word(SHARED_UP);
      put_settings(input);
      put_words(input);
      break;
    case 2:
      put_word(SHARED_KEEP);
      put_words(input);
      break;
    case 3:
    case 4:
      put_word(kind % 7 == 3 ? SHARED_END : SHARED_ANSWER);
      put_word(take_byte(input) < 128 ? take_byte(input) : (int32_t)take_word(input));
      put_words(input);
      break;
    default:
      put_words(input);
  }
  send_from(input, socket, message_out, out_length);
}

/* ---- a run ---------------------------------------------------------------------------------------- */

static void open_descriptors(void) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0) give_up("pipe");
  dup2(pair[1], READY_FD);
  dup2(pair[0], EXIT_FD);
  close(pair[0]);
  close(pair[1]);
}

/* As the end of a process leaves it. */
static void clean_up(int baseline) {
  syscall(SYS_close_range, baseline, READY_FD - 1, 0);
  syscall(SYS_close_range, READY_FD, ~0U, 0);
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  unsetenv("SLIPWAY_TAKEN");
  unlink(api);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void remove_directory(void) {
  unlink(api);
  rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  leave_threads_out(argc, argv);
  start_tally();
  enter_own_namespaces();
  if (mkdtemp(directory) == NULL) give_up(directory);
  atexit(remove_directory);
  snprintf(pid, sizeof(pid), "%d", getpid());
  snprintf(netns_of_pid, sizeof(netns_of_pid), "/proc/%d/ns/net", getpid());
  snprintf(api, sizeof(api), "%s/api.sock", directory);
  setenv("XDG_RUNTIME_DIR", directory, 1);
  setenv("SLIPWAY_FDS", "0,1,2,107,108", 1);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int baseline = lowest_free();
  int pair[2];
  inputs++;
  tally->inputs++;
  open_descriptors();
  if (process_socketpair(pair) < 0) give_up("socketpair");
  const struct command *command = &commands[take_byte(&input) % COMMAND_COUNT];
  for (int count = 1 + take_byte(&input) % 8; count > 0; count--) say_one(&input, pair[1], command);
  shutdown(pair[1], SHUT_WR);
  daemon_end = pair[0];
  agent_input = &input;
  given = command->given;
  bool is_question = command >= &commands[4];
  if (setjmp(ended) == 0) {
    if (is_question) shared_ask((char **)command->argv);
    else shared_serve((char **)command->argv);
  }
  clean_up(baseline);
  return 0;
}
