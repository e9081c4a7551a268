/*
  * The broker's requests and plans, from a peer that may send anything. The broker starts real processes, but for most
  * requests fork fails, as it takes 2 ms. No held child is ever released, so none runs a program.
 */
#include <sys/mount.h>
#include <sys/types.h>

#include "../../../native/launcher/sandbox/keeper.h"

static pid_t fork_or_fail(void);
/* Here the broker's children are ours, and we wait for them. */
#define process_fork_sibling fork_or_fail
#define keeper_run(socket, resolv_conf, api_socket) return failed(-ECANCELED, STEP_KEEPER)
#include "../../../native/launcher/sandbox/broker.c"
#undef keeper_run
#undef process_fork_sibling

#include "peer.h"

enum { FORK_INPUTS = 256 };

static int ours;
static int peer;
static bool may_fork;

static pid_t fork_or_fail(void) {
  errno = EAGAIN;
  return may_fork ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : -1;
}

/* The broker makes a pid file where it is told to: in a file system of our own, and nowhere else. */
#define OWN_FOLDER "/mnt"
static const char *const paths[] = {"/proc/self/ns/net", "/proc/self/ns/user", "/proc/self/ns/mnt", "/dev/null", "/",
                                    "", "/nonexistent/file", OWN_FOLDER "/pid"};

static void mount_own_folder(void) {
  if (unshare(CLONE_NEWNS) < 0) give_up("unshare");
  if (mount("pid", OWN_FOLDER, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") < 0) give_up("mount");
}

static void put_path(struct input *input, char path[BROKER_PATH_CAPACITY]) {
  uint8_t shape = take_byte(input);
  if (shape < 200) strcpy(path, paths[shape % (sizeof(paths) / sizeof(paths[0]))]);
  else if (shape < 230) memset(path, 'x', BROKER_PATH_CAPACITY);
  else {
    /* Below a directory that does not exist: no random path is opened. */
    strcpy(path, "/nonexistent/");
    take_bytes(input, path + strlen(path), BROKER_PATH_CAPACITY - strlen(path));
  }
}

/* A plan as plan.c writes it, with a few bytes changed. */
static size_t put_plan(struct input *input, uint8_t *bytes, size_t most) {
  static char *argv[] = {"/nonexistent/a", "-b", NULL};
  static char *env[] = {"C=d", "E=", NULL};
  static char *hidden[] = {"/nonexistent/f", NULL};
  static char *newuidmap[] = {"/nonexistent/g", "", "0", "0", "1", NULL};
  static char *newgidmap[] = {"/nonexistent/h", "", NULL};
  struct held_plan plan = {.file = "/nonexistent/a", .argv = argv, .env = env, .uid_map = "0 0 1",
                           .gid_map = "0 0 1", .outer_uid_map = "0 0 1", .outer_gid_map = "0 0 1", .hidden = hidden,
                           .keep = (int[]){1, -1}, .ignore = (int[]){2, -1}};
  uint8_t shape = take_byte(input);
  if ((shape & 1) != 0) plan.files[HELD_RESOLV_CONF] = "nameserver 10.0.2.3\n";
  if ((shape & 2) != 0) plan.files[HELD_HOSTS] = "127.0.0.1 localhost\n";
  if ((shape & 4) != 0) strcpy(plan.hostname, "name");
  plan.own_pids = (shape & 8) != 0;
  if ((shape & 16) != 0) plan.newuidmap = newuidmap;
  if ((shape & 16) != 0) plan.newgidmap = newgidmap;
  int fd = plan_write(&plan);
  ssize_t size = pread(fd, bytes, most, 0);
  close(fd);
  if (size < 0) give_up("plan");
  size_t length = (size_t)size;
  for (int count = shape >> 5; count > 0; count--) {
    size_t at = take_byte(input) | (size_t)take_byte(input) << 8;
    bytes[at % length] = take_byte(input);
  }
  uint8_t cut = take_byte(input);
  if (cut > 230) length -= (size_t)(cut - 230) % length;
  else if (cut > 220) length += take_bytes(input, bytes + length, most - length);
  return length;
}

static int make_plan(struct input *input) {
  static uint8_t bytes[16384];
  uint8_t shape = take_byte(input);
  size_t length = (shape & 1) != 0 ? put_plan(input, bytes, sizeof(bytes))
                                   : take_bytes(input, bytes, sizeof(bytes));
  int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) give_up("memfd");
  if (shape < 240) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return fd;
}

static void send_request(struct input *input) {
  static struct {
    struct broker_request request;
    uint8_t rest[64];
  } message;
  uint8_t shape = take_byte(input);
  memset(&message.request, 0, sizeof(message.request));
  message.request.operation = (shape & 7) < 4 ? BROKER_SPAWN : shape & 7;
  /* Not BROKER_KEEP, which waits for nobody any more, but numbers that are no operation. */
  if ((shape & 7) >= 4) message.request.operation = (shape >> 3) % 8 == BROKER_KEEP ? 99 : (shape >> 3) % 8;
  size_t sent = sizeof(message.request);
  if (shape > 240) sent = take_byte(input) | (size_t)take_byte(input) << 8;
  if (sent > sizeof(message)) sent = sizeof(message);
  if (message.request.operation == BROKER_SPAWN) {
    int plan = make_plan(input);
    send_to(peer, &message, sent, &plan, 1);
    close(plan);
    return;
  }
  put_path(input, message.request.paths[0]);
  put_path(input, message.request.paths[1]);
  send_from(input, peer, &message, sent);
}

static void check_end(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) < 0) found("a process that is none");
  if (WIFSIGNALED(status)) found("a child that was killed");
}

/* Whether it opens something for its peer, instead of starting a process. */
static bool opens(uint32_t operation) {
  return operation == BROKER_PROCESS || operation == BROKER_DIRECTORY || operation == BROKER_PID_FILE;
}

/* A started process ends when its socket closes, and until then has one on which to answer. */
static void check_answer(uint32_t operation) {
  struct broker_reply reply;
  struct held_report report = {.error = 0};
  int fd;
  if (receive_with(peer, &reply, sizeof(reply), &fd) != sizeof(reply)) found("no answer");
  if (reply.step >= STEP_COUNT || reply.result < -4095) found("an answer that is none");
  if (fd < 0) return;
  if (opens(operation)) {
    if (reply.result != 0) found("a descriptor with an error");
    close(fd);
    return;
  }
  if (reply.result <= 0) found("a descriptor without a process");
  ssize_t length = recv(fd, &report, sizeof(report), 0);
  /* An agent answers less. */
  bool is_agent = length == sizeof(struct agent_reply);
  if (length != sizeof(report) && !is_agent) found("a child that does not say how it went");
  shutdown(fd, SHUT_RDWR);
  close(fd);
  check_end(reply.result);
  if (report.command > 0) check_end(report.command);
  if (report.reaper > 0) check_end(report.reaper);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  leave_threads_out(argc, argv);
  int pair[2];
  start_tally();
  enter_own_namespaces();
  mount_own_folder();
  if (process_socketpair(pair) < 0) give_up("socketpair");
  ours = pair[0];
  peer = pair[1];
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int baseline = lowest_free();
  static struct broker_request request;
  static unsigned count;
  may_fork = ++count % FORK_INPUTS == 0;
  tally->inputs++;
  for (int i = 0; i < 16 && input.left > 0; i++) {
    int fd;
    send_request(&input);
    ssize_t received = process_recv_fd(ours, &request, sizeof(request), 0, &fd);
    if (received == sizeof(request)) {
      serve_request(ours, &request, fd);
      check_answer(request.operation);
    } else if (fd >= 0) {
      close(fd);
    }
  }
  if (lowest_free() != baseline) found("a descriptor was left open, or one too many closed");
  return 0;
}
