/* Async-signal-safe calls only: held.c. */
#include "mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../os/idmap.h"
#include "../os/process.h"

struct result {
  int32_t error; /* a negative errno, or 0 */
  uint32_t step; /* enum step */
};

static pid_t fork_child(void) {
  return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Of them newuidmap needs none; what it says on stderr our caller puts into words. */
static void open_null_streams(void) {
  syscall(SYS_close_range, 0, UINT_MAX, 0);
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd < STDERR_FILENO) fd = dup(fd);
}

static _Noreturn void execute(char **argv, pid_t target) {
  static char *no_variables[] = {NULL}; /* PATH is that of environ */
  char digits[PROCESS_DIGITS_CAPACITY];
  if (argv == NULL || argv[0] == NULL || argv[1] == NULL) _exit(EINVAL);
  argv[1] = process_digits(target, digits);
  open_null_streams();
  execvpe(argv[0], argv, no_variables);
  _exit(errno);
}

/* Returns 0 or an errno. The programs end with 1, EPERM, whatever they find wrong. */
static int run_program(char **argv, pid_t target) {
  pid_t pid = fork_child();
  if (pid == 0) execute(argv, target);
  if (pid < 0) return errno;
  int status = process_reap(pid);
  if (status < 0) return -status;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

enum step mapper_run_programs(const struct held_plan *plan, pid_t target) {
  signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
  errno = run_program(plan->newuidmap, target);
  if (errno != 0) return STEP_NEWUIDMAP;
  errno = run_program(plan->newgidmap, target);
  return errno == 0 ? STEP_NONE : STEP_NEWGIDMAP;
}

enum step mapper_write_maps(const struct held_plan *plan, pid_t target) {
  return idmap_write_of(target, plan->uid_map, plan->gid_map);
}

static _Noreturn void run(const struct held_plan *plan, mapper_job *job, int socket) {
  char asked;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (process_recv(socket, &asked, 1) != 1) _exit(0);
  enum step step = job(plan, getppid());
  struct result result = {.error = step == STEP_NONE ? 0 : -errno, .step = step};
  process_send(socket, &result, sizeof(result));
  _exit(0);
}

int mapper_start(const struct held_plan *plan, mapper_job *job, struct mapper *mapper) {
  int socket;
  pid_t pid = process_fork_connected(fork_child, &socket);
  if (pid == 0) run(plan, job, socket);
  if (pid < 0) return -1;
  *mapper = (struct mapper){.pid = pid, .socket = socket};
  return 0;
}

enum step mapper_finish(const struct mapper *mapper) {
  struct result result = {.error = -ECHILD, .step = STEP_FORK};
  process_send(mapper->socket, "", 1);
  process_recv(mapper->socket, &result, sizeof(result));
  close(mapper->socket);
  process_reap(mapper->pid);
  errno = -result.error;
  return (enum step)result.step;
}
