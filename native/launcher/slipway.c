/*
 * bin/slipway, bin/slirp4netns and bin/slipway-cni: becomes Node with the bundle. Same pid, same descriptors, no
 * second process: podman and RootlessKit watch, signal and bind to the pid that they started.
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
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "../src/confine/confine.h"
#include "sandbox/broker.h"
#include "sandbox/namespaces.h"
#include "shared/shared.h"
#include "supervisor/supervisor.h"

#define PARKED_PREFIX "SLIPWAY_PARKED_"
enum { OLDEST_NODE = 22 };

/* Variables that change what Node, libuv or OpenSSL do; whole names, or prefixes ending in '_'. */
static const char *const parked[] = {"NODE_", "UV_", "OPENSSL_CONF=", "OPENSSL_MODULES="};

/*
 * Four V8 worker threads compile and collect for programs larger than this one. A young generation of
 * 2 MB is just enough for a start without a collection, which takes 1 ms; a larger one is for programs
 * that allocate. The collector is called when traffic pauses (src/sys/reclaim.ts); V8's own way to do
 * that would wake an idle process ten seconds later.
 */
static const char *const node_flags[] = {"--v8-pool-size=1", "--min-semi-space-size=2",
                                         "--max-semi-space-size=2", "--no-memory-reducer"};
enum { FLAG_COUNT = sizeof(node_flags) / sizeof(node_flags[0]) };

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", program_invocation_short_name);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

__attribute__((format(printf, 1, 2))) static char *format_text(const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&text, format, arguments) < 0) fail("out of memory");
  va_end(arguments);
  return text;
}

static const char *last_component(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static void cut_last_component(char *path) {
  char *slash = strrchr(path, '/');
  if (slash != NULL) *slash = '\0';
}

/* The folder that has bin/slipway, by way of /proc: argv[0] may be a link, or a lie. */
static char *find_root(void) {
  static char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length < 0) fail("can't read /proc/self/exe: %s: is /proc mounted?", strerror(errno));
  path[length] = '\0';
  cut_last_component(path);
  cut_last_component(path);
  return path;
}

static bool is_parked(const char *variable) {
  for (size_t i = 0; i < sizeof(parked) / sizeof(parked[0]); i++) {
    if (strncmp(variable, parked[i], strlen(parked[i])) == 0) return true;
  }
  return false;
}

static void park_environment(void) {
  for (char **variable = environ; *variable != NULL; variable++) {
    if (is_parked(*variable)) *variable = format_text(PARKED_PREFIX "%s", *variable);
  }
}

static int set_filter(const struct sock_fprog *program) {
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program);
}

/*
 * A kernel that can't filter is no reason not to start. The number is the same on all of Linux's
 * architectures but alpha, so that the filter needs no look at the architecture.
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
  /* Without CAP_SYS_ADMIN a filter needs this. */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) set_filter(&program);
}

static char *with_number(const char *list, int number) {
  return format_text("%s%s%d", list, list[0] == '\0' ? "" : ",", number);
}

/*
 * Node opens descriptors of its own at the lowest free numbers, so that afterwards a number that the
 * caller left closed looks open: --ready-fd and --exit-fd are checked against this list, and COMMAND
 * of `run` keeps what is on it.
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

/* Node sets every signal to its default; what `nohup` ignores COMMAND is to ignore as well. */
static void list_ignored_signals(void) {
  const char *list = "";
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    if (sigaction(signal, NULL, &action) < 0 || action.sa_handler != SIG_IGN) continue;
    list = with_number(list, signal);
  }
  setenv("SLIPWAY_IGNORED", list, 1);
}

static bool is_executable(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static _Noreturn void print_version(const char *node, int output) {
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  execl(node, node, "--version", (char *)NULL);
  _exit(127);
}

/* The major version that a `node` says it has, or 0. */
static int version_of(const char *node) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) < 0) return 0;
  pid_t pid = fork();
  if (pid == 0) print_version(node, output[1]);
  close(output[1]);
  char text[32] = "";
  if (read(output[0], text, sizeof(text) - 1) < 0) text[0] = '\0';
  close(output[0]);
  if (pid > 0) waitpid(pid, NULL, 0);
  return text[0] == 'v' ? atoi(text + 1) : 0;
}

/* Only absolute folders: what runs must not depend on where the user stands. */
static char *search_path(void) {
  const char *path = getenv("PATH");
  char *folders = format_text("%s", path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path);
  char *rest = NULL;
  for (char *f = strtok_r(folders, ":", &rest); f != NULL; f = strtok_r(NULL, ":", &rest)) {
    if (f[0] != '/') continue;
    char *node = format_text("%s/node", f);
    if (is_executable(node) && version_of(node) >= OLDEST_NODE) return node;
    free(node);
  }
  return NULL;
}

static const char *find_node(const char *root) {
  const char *chosen = getenv("SLIPWAY_NODE");
  if (chosen != NULL && chosen[0] != '\0') {
    if (!is_executable(chosen)) fail("SLIPWAY_NODE=%s is not an executable file", chosen);
    return chosen;
  }
  /* The pinned one, of whichever processor: scripts/check-node. */
  const char *installed = format_text("%s/node_modules/.bin/node", root);
  if (is_executable(installed)) return installed;
  const char *found = search_path();
  if (found == NULL) {
    fail("needs Node.js %d or newer: none in %s/node_modules or PATH; name one by SLIPWAY_NODE",
         OLDEST_NODE, root);
  }
  return found;
}

static const char *find_bundle(const char *root) {
  const char *bundle = format_text("%s/dist/slipway.cjs", root);
  if (access(bundle, R_OK) < 0) {
    fail("can't read %s: %s; build it by scripts/build", bundle, strerror(errno));
  }
  return bundle;
}

/* node FLAGS bundle NAME ARGUMENTS, where NAME is what the user called. */
static char **node_arguments(const char *node, const char *bundle, int argc, char **argv) {
  const char **arguments = calloc((size_t)argc + FLAG_COUNT + 3, sizeof(*arguments));
  if (arguments == NULL) fail("out of memory");
  size_t count = 0;
  arguments[count++] = node;
  for (size_t i = 0; i < FLAG_COUNT; i++) arguments[count++] = node_flags[i];
  arguments[count++] = bundle;
  arguments[count++] = last_component(argv[0]);
  for (int i = 1; i < argc; i++) arguments[count++] = argv[i];
  return (char **)arguments;
}

static bool is_among(const char *word, const char *const words[]) {
  for (size_t i = 0; words[i] != NULL; i++) {
    if (strcmp(word, words[i]) == 0) return true;
  }
  return false;
}

/* Those that make no network: they need nobody's help, and doctor shows the machine as it is. */
static bool is_about_itself(char **argv) {
  static const char *const options[] = {"--help", "-h", "--version", "-v", NULL};
  static const char *const commands[] = {"doctor", "port", "status", "flows", NULL};
  if (argv[1] == NULL || is_among(argv[1], options)) return true;
  return strcmp(last_component(argv[0]), "slirp4netns") != 0 && is_among(argv[1], commands);
}

/*
 * Those that speak to the daemon, which lives in the user's own namespaces and is started from them;
 * `run` does on networks. COMMAND comes after "--", if that is there.
 */
static bool asks_daemon(char **argv) {
  static const char *const words[] = {"network", "ps", "daemon", "oci-hook"};
  if (argv[1] == NULL || strcmp(last_component(argv[0]), "slipway") != 0) return false;
  for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
    if (strcmp(argv[1], words[i]) == 0) return true;
  }
  return false;
}

/* Those that need no process of Node if the daemon runs. */
static bool is_question(char **argv) {
  return asks_daemon(argv) && (strcmp(argv[1], "network") == 0 || strcmp(argv[1], "ps") == 0);
}

static bool runs_on_network(char **argv) {
  if (argv[1] == NULL || strcmp(argv[1], "run") != 0) return false;
  for (char **argument = argv + 2; *argument != NULL; argument++) {
    if (strcmp(*argument, "--") == 0) return false;
    if (strncmp(*argument, "--network", strlen("--network")) == 0) return true;
  }
  return false;
}

/* Node would do so; but before that we open descriptors ourselves, and none shall be taken for these. */
static void open_standard_streams(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

static bool is_daemon(char **argv) {
  return asks_daemon(argv) && strcmp(argv[1], "daemon") == 0 && argv[2] != NULL &&
         strcmp(argv[2], "run") == 0 && (argv[3] == NULL || strcmp(argv[3], "--help") != 0);
}

/* Where either fails Node tells, which knows whether a sandbox is wanted. */
static void prepare_sandbox(char **argv) {
  int broker = broker_start(argv);
  if (broker < 0) return;
  fcntl(broker, F_SETFD, 0);
  setenv("SLIPWAY_BROKER", format_text("%d", broker), 1);
  setenv("SLIPWAY_ROOT", namespaces_prepare(), 1);
}

int main(int argc, char **argv) {
  if (argc < 1) fail("started without a name");
  confine_memory(); /* some of us stay, with the user's rights; exec makes it the addon's to do */
  const char *root = find_root();
  park_environment();
  list_descriptors();
  list_ignored_signals();
  open_standard_streams();
  /* Ours alone to say. */
  unsetenv("SLIPWAY_BROKER");
  unsetenv("SLIPWAY_ROOT");
  unsetenv("SLIPWAY_TAKEN");
  unsetenv("SLIPWAY_STORE");
  if (shared_is_wanted(argv)) shared_serve(argv);
  if (is_question(argv)) shared_ask(argv);
  const char *bundle = find_bundle(root);
  const char *node = find_node(root);
  if (is_daemon(argv)) supervise_daemon();
  bool is_networked = runs_on_network(argv);
  if (!is_about_itself(argv) && !asks_daemon(argv) && !is_networked) prepare_sandbox(argv);
  /* Its COMMAND would inherit the filter: it is forked from Node. */
  if (!is_networked) deny_io_uring();
  execv(node, node_arguments(node, bundle, argc, argv));
  fail("can't run %s: %s", node, strerror(errno));
}
