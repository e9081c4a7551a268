/*
 * bin/slipway and its other names (common/program.h): becomes Node with the bundle. Same pid, same descriptors, no
 * second process: podman and RootlessKit watch, signal and bind to the pid that they started. Only pasta and passt go to
 * the background if they are not told otherwise, and a pid file names the process that goes on.
 *
 * It does what can't be done once Node runs:
 * - The environment. NODE_OPTIONS, NODE_EXTRA_CA_CERTS and their like are meant for the user's
 *   programs; here they would inject code, or cost 40 ms. They are renamed, not removed, with
 *   PARKED_PREFIX, as the COMMAND of `slipway run` is to get them back.
 * - io_uring_setup answers ENOSYS. libuv opens a ring at start whatever UV_USE_IO_URING says, and a
 *   ring passes by every seccomp filter that is set later. Not for `run`: the filter would be
 *   inherited by COMMAND, and so would no_new_privs, which an unprivileged process must set to have
 *   a filter and which takes file capabilities from the programs inside.
 * - The choice of Node.
 *
 * Static, so that it starts in half a millisecond.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "../src/confine/confine.h"
#include "commands.h"
#include "common/program.h"
#include "common/text.h"
#include "node.h"
#include "pasta/background.h"
#include "pasta/options.h"
#include "pesto/pesto.h"
#include "sandbox/broker.h"
#include "sandbox/namespaces.h"
#include "shared/shared.h"
#include "supervisor/supervisor.h"

#define PARKED_PREFIX "SLIPWAY_PARKED_"

/* Variables that change what Node, libuv or OpenSSL do; whole names, or prefixes ending in '_'. */
static const char *const parked[] = {"NODE_", "UV_", "OPENSSL_CONF=", "OPENSSL_MODULES="};

static bool is_parked(const char *variable) {
  for (size_t i = 0; i < sizeof(parked) / sizeof(parked[0]); i++) {
    if (strncmp(variable, parked[i], strlen(parked[i])) == 0) return true;
  }
  return false;
}

static void park_environment(void) {
  for (char **variable = environ; *variable != NULL; variable++) {
    if (is_parked(*variable)) *variable = text_format(PARKED_PREFIX "%s", *variable);
  }
}

static int set_filter(const struct sock_fprog *program) {
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program);
}

/*
 * Without seccomp filters Slipway starts all the same. The number of this call is the same on all architectures
 * but alpha, so the filter does not check the architecture.
 */
static void deny_io_uring(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
  if (set_filter(&program) == 0 || errno != EACCES) return;
  /* required without CAP_SYS_ADMIN */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) set_filter(&program);
}

static char *with_number(const char *list, int number) {
  return text_format("%s%s%d", list, list[0] == '\0' ? "" : ",", number);
}

/*
 * Node opens descriptors at the lowest free numbers, so that a number which the caller left closed looks open
 * later. --ready-fd and --exit-fd are checked against this list, and COMMAND of `run` keeps what is on it.
 */
static void list_descriptors(void) {
  const char *list = "";
  DIR *directory = opendir("/proc/self/fd");
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory)) list = with_number(list, fd);
  }
  closedir(directory);
  setenv("SLIPWAY_FDS", list, 1);
}

/* Node resets every signal to its default; COMMAND must ignore what `nohup` ignores. */
static void list_ignored_signals(void) {
  const char *list = "";
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    if (sigaction(signal, NULL, &action) < 0 || action.sa_handler != SIG_IGN) continue;
    list = with_number(list, signal);
  }
  setenv("SLIPWAY_IGNORED", list, 1);
}

/*
 * Node does this, too; but we open descriptors before, which must not become standard streams. Writing to a stdout that
 * the caller has closed must fail, and not vanish.
 */
static void open_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
  }
}

/* Node gets a descriptor, and its number. */
static void pass(const char *variable, int fd) {
  fcntl(fd, F_SETFD, 0);
  setenv(variable, text_format("%d", fd), 1);
}

/* If either fails Node reports it, as it knows whether a sandbox is wanted. */
static void prepare_sandbox(char **argv) {
  int broker = broker_start(argv);
  if (broker < 0) return;
  pass("SLIPWAY_BROKER", broker);
  setenv("SLIPWAY_ROOT", namespaces_prepare(), 1);
}

/* From now on this is another process. The caller's waits for it, at the other end of `parent`. */
static void go_to_background(char **argv, int parent) {
  const char *root = "";
  int broker = broker_become(argv, parent, &root);
  if (broker < 0) text_fail("can't fork: %s; -f stays in the foreground", strerror(errno));
  pass("SLIPWAY_PARENT", parent);
  pass("SLIPWAY_BROKER", broker);
  setenv("SLIPWAY_ROOT", root, 1);
}

/* Prepares what Node needs to serve pasta's guest. */
static void begin_pasta(int argc, char **argv) {
  struct pasta_options options = pasta_read(argc, argv, program_is(argv, "passt"));
  if (options.kind == PASTA_ABOUT_ITSELF) return;
  int parent = options.kind == PASTA_BACKGROUND ? background_enter() : -1;
  bool is_shared = program_is(argv, "pasta") && shared_is_wanted_of_pasta(options.kind);
  bool is_taken = is_shared && shared_serve_pasta(argv, &options, parent);
  if (is_taken || parent < 0) prepare_sandbox(argv);
  else go_to_background(argv, parent);
}

static bool is_plain(char **argv) {
  return command_is_about_itself(argv) || command_asks_daemon(argv) || command_runs_on_network(argv);
}

int main(int argc, char **argv) {
  if (argc < 1) text_fail("started without a name");
  confine_memory(); /* processes forked from here stay, with the user's rights; after exec the addon does it again */
  if (program_is(argv, "pesto")) pesto_ask(argc, argv);
  const char *root = node_root();
  park_environment();
  list_descriptors();
  list_ignored_signals();
  open_standard_streams();
  /* Only we may set these. */
  unsetenv("SLIPWAY_BROKER");
  unsetenv("SLIPWAY_PARENT");
  unsetenv("SLIPWAY_ROOT");
  unsetenv("SLIPWAY_TAKEN");
  unsetenv("SLIPWAY_UNSHARED");
  unsetenv("SLIPWAY_STORE");
  bool is_pasta = program_is(argv, "pasta") || program_is(argv, "passt");
  if (is_pasta) begin_pasta(argc, argv);
  else if (shared_is_wanted(argv)) shared_serve(argv);
  else if (command_is_question(argv)) shared_ask(argv);
  node_check_descriptors();
  const char *bundle = node_bundle(root);
  const char *node = node_find(root);
  if (command_is_daemon(argv)) supervise_daemon();
  if (!is_pasta && !is_plain(argv)) prepare_sandbox(argv);
  /* COMMAND of `run --network` is forked from Node and would inherit the filter. */
  if (!command_runs_on_network(argv)) deny_io_uring();
  execv(node, node_arguments(node, bundle, argc, argv));
  text_fail("can't run %s: %s", node, strerror(errno));
}
