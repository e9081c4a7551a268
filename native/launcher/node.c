#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/program.h"
#include "common/text.h"

enum { OLDEST_NODE = 22 };

/* With 20 Node 26 starts, with 30 `slipway run` does (m). */
enum { LEAST_DESCRIPTORS = 32 };

/*
 * V8's four worker threads compile and collect garbage for larger programs than this one. A young generation of 2
 * MB is just enough to start without a collection, which takes 1 ms; a larger one helps programs that allocate.
 * src/loop calls the collector when traffic pauses; V8's own way to do that would wake an idle process ten seconds
 * later.
 */
static const char *const node_flags[] = {"--v8-pool-size=1", "--min-semi-space-size=2",
                                         "--max-semi-space-size=2", "--no-memory-reducer"};
enum { FLAG_COUNT = sizeof(node_flags) / sizeof(node_flags[0]) };

static void cut_last_component(char *path) {
  char *slash = strrchr(path, '/');
  if (slash != NULL) *slash = '\0';
}

const char *node_root(void) {
  static char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length < 0) text_fail("can't read /proc/self/exe: %s: is /proc mounted?", strerror(errno));
  path[length] = '\0';
  cut_last_component(path);
  cut_last_component(path);
  return path;
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

static char *search_path(void) {
  const char *path = getenv("PATH");
  char *folders = text_format("%s", path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path);
  char *rest = NULL;
  for (char *f = strtok_r(folders, ":", &rest); f != NULL; f = strtok_r(NULL, ":", &rest)) {
    if (f[0] != '/') continue;
    char *node = text_format("%s/node", f);
    if (is_executable(node) && version_of(node) >= OLDEST_NODE) return node;
    free(node);
  }
  return NULL;
}

const char *node_find(const char *root) {
  const char *chosen = getenv("SLIPWAY_NODE");
  if (chosen != NULL && chosen[0] != '\0') {
    if (!is_executable(chosen)) text_fail("SLIPWAY_NODE=%s is not an executable file", chosen);
    return chosen;
  }
  /* The pinned one, of whichever processor: scripts/check-node. */
  const char *installed = text_format("%s/node_modules/.bin/node", root);
  if (is_executable(installed)) return installed;
  const char *found = search_path();
  if (found == NULL) {
    text_fail("needs Node.js %d or newer: none in %s/node_modules or PATH; name one by SLIPWAY_NODE",
         OLDEST_NODE, root);
  }
  return found;
}

const char *node_bundle(const char *root) {
  const char *bundle = text_format("%s/dist/slipway.cjs", root);
  if (access(bundle, R_OK) < 0) {
    text_fail("can't read %s: %s; build it by scripts/build", bundle, strerror(errno));
  }
  return bundle;
}

/* Node raises the soft limit to the hard one. */
void node_check_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max >= LEAST_DESCRIPTORS) return;
  text_fail("the limit of open files is %llu, and Node.js needs %d: raise it where it is set, as by ulimit -n 1024",
            (unsigned long long)limit.rlim_max, LEAST_DESCRIPTORS);
}

char **node_arguments(const char *node, const char *bundle, int argc, char **argv) {
  const char **arguments = calloc((size_t)argc + FLAG_COUNT + 4, sizeof(*arguments));
  if (arguments == NULL) text_fail("out of memory");
  size_t count = 0;
  arguments[count++] = node;
  for (size_t i = 0; i < FLAG_COUNT; i++) arguments[count++] = node_flags[i];
  /* Before it Node reads the files of --env-file, which it also finds behind the bundle (node_dotenv.cc). */
  arguments[count++] = "--";
  arguments[count++] = bundle;
  arguments[count++] = program_name(argv);
  for (int i = 1; i < argc; i++) arguments[count++] = argv[i];
  return (char **)arguments;
}
