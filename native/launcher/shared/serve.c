/*
 * The states of a launcher in shared mode, with the daemon on the other end of a connection (protocol.h):
 *
 *     State    event                                    then                                                    next
 *     start    a daemon of ours listens                 send REQUEST; open the TAP if we can guess it           asked
 *     asked    PLAN that the caller gave                open the TAP if it is not; send it, send API            planned
 *     planned  UP, its settings are made, the process   hold signals; text to stdout, "1" to the ready-fd;      up
 *              of the namespace lives                   for pasta send AGENT and write the pid file instead;
 *                                                       fork the keeper of the API's file
 *     up       KEEP                                     keep it in a memfd, instead of what was kept            up
 *     up       END                                      its text to stderr; remove the API's file, wait until   ended
 *                                                       the daemon closes, exit with its status
 *     up       SIGTERM, SIGINT or SIGHUP; exit-fd;      remove the API's file, wait until the daemon closes,    ended
 *              the process has ended; for pasta: the    exit with 0
 *              namespace's file is gone
 *     up       the daemon closes                        end the keeper, put TAP, API and what was kept into     taken
 *                                                       SLIPWAY_TAKEN
 *     before up: anything else, or nothing for 2 s      remove the API's file, wait until the daemon closes,    undone
 *                                                       close all
 *
 * `taken` and `undone` return: the caller becomes Node, which goes on with what was taken, or begins anew. That also
 * says what is wrong with a command line, and by SLIPWAY_UNSHARED why --shared has no effect. The daemon waits with its
 * last close of the TAP until the kernel has taken the interface away; whoever waits for our end finds ports and socket
 * free.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../common/inherited.h"
#include "../common/pid-file.h"
#include "../common/printable.h"
#include "../common/program.h"
#include "../pasta/background.h"
#include "../pasta/options.h"
#include "guess.h"
#include "session.h"
#include "shared.h"
#include "silence.h"

static struct session shared;

/* ---- from start to planned ----------------------------------------------------------------------- */

static bool has_argument(char **argv, const char *word) {
  for (char **argument = argv + 1; *argument != NULL && strcmp(*argument, "--") != 0; argument++) {
    if (strcmp(*argument, word) == 0) return true;
  }
  return false;
}

static bool is_preferred(void) {
  const char *variable = getenv("SLIPWAY_SHARED");
  return variable != NULL && strcmp(variable, "1") == 0;
}

bool shared_is_wanted(char **argv) {
  if (argv[1] == NULL) return false;
  if (!program_is(argv, "slirp4netns") && strcmp(argv[1], "attach") != 0) return false;
  return has_argument(argv, "--shared") || is_preferred();
}

bool shared_is_wanted_of_pasta(enum pasta_kind kind) {
  return (kind == PASTA_FOREGROUND || kind == PASTA_BACKGROUND) && is_preferred();
}

/* -1: no descriptor. */
static bool is_open(int fd) {
  return fd < 0 || inherited_has(fd);
}

static bool request_network(void) {
  return connection_open(&shared.daemon, CONNECTION_PATIENCE_S) &&
         connection_request(&shared.daemon, shared.name, shared.argv);
}

/*
 * The daemon gets the TAP only when it has answered: in the queue of a daemon that is stopped it would stay, and Node
 * could not open another of its name.
 */
static bool pass_planned_tap(void) {
  struct target guessed;
  const struct target *target = &shared.plan.target;
  bool is_guessed = guess_target(&guessed, shared.name, shared.argv);
  if (is_guessed && !tap_open(&shared.tap, &guessed, shared.argv)) return false;
  connection_receive(&shared.daemon);
  if (!session_take_plan(&shared)) return false;
  if (!is_guessed) return session_pass_tap(&shared, target);
  return guess_was_right(&guessed, target) && tap_send(&shared.tap, target, &shared.daemon);
}

static bool send_api(void) {
  if (shared.plan.api_path[0] == '\0') return true;
  if (!api_socket_listen(&shared.api, shared.plan.api_path)) return false;
  connection_begin(&shared.daemon, SHARED_API, 0);
  return connection_send(&shared.daemon, shared.api.fd);
}

/* What only this process can do for pasta: the daemon is not told of it. */
static bool open_pid_file(void) {
  if (shared.pasta == NULL || shared.pasta->pid_file == NULL) return true;
  shared.pid_file = pid_file_open(shared.pasta->pid_file);
  return shared.pid_file >= 0;
}

/*
 * The file that ends the network, by whatever name it was given. One below the root of a process ends with the process, too,
 * for which a process of our own watches.
 */
static bool watch_netns(void) {
  const struct target *target = &shared.plan.target;
  if (shared.pasta == NULL || shared.pasta->stays || target->pid >= 0) return true;
  if (strncmp(target->netns, "/proc/", strlen("/proc/")) == 0) return false;
  return netns_file_watch(&shared.netns, target->netns);
}

/* Returns the text for stdout once the network is up, or NULL when it could not be brought up. */
static char *begin(void) {
  if (!open_pid_file() || !request_network() || !pass_planned_tap() || !watch_netns() || !send_api()) return NULL;
  if (!is_open(shared.plan.ready_fd) || !is_open(shared.plan.exit_fd)) return NULL;
  connection_receive(&shared.daemon);
  return session_set_up(&shared);
}

/* ---- up ------------------------------------------------------------------------------------------- */

/* The caller sees no text. False: nobody waits for us. */
static bool announce_pasta(void) {
  if (!tap_pass_agent(&shared.tap, &shared.daemon)) return false;
  if (shared.parent >= 0) return background_announce(shared.parent, shared.pid_file);
  return shared.pid_file < 0 || pid_file_write(shared.pid_file, getpid()) == 0;
}

static void announce(char *text) {
  printable_make(text, strlen(text));
  session_write(STDOUT_FILENO, text, strlen(text));
  if (shared.plan.ready_fd < 0) return;
  session_write(shared.plan.ready_fd, "1", 1);
  close(shared.plan.ready_fd);
}

static _Noreturn void end(int status) {
  api_socket_remove(&shared.api);
  connection_leave(&shared.daemon);
  _exit(status);
}

/* A signal that is ignored stays ignored, as `nohup` wants. */
static sigset_t end_signals(void) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  bool is_in_background = shared.parent >= 0; /* no terminal hangs up */
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    struct sigaction action;
    sigaction(numbers[i], NULL, &action);
    if (numbers[i] == SIGHUP && is_in_background) signal(SIGHUP, SIG_IGN);
    else if (action.sa_handler != SIG_IGN) sigaddset(&set, numbers[i]);
  }
  return set;
}

static bool watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Returns an epoll set of everything that can end the network, or -1 with errno: EPERM, the exit-fd is a file. */
static int watch_all(int signals) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return -1;
  if (watch(epoll, signals) && watch(epoll, shared.daemon.socket) && watch(epoll, shared.plan.exit_fd) &&
      watch(epoll, shared.tap.process) && watch(epoll, shared.netns.watch)) {
    return epoll;
  }
  close(epoll);
  return -1;
}

static void store_kept(void) {
  const struct connection *daemon = &shared.daemon;
  if (shared.kept < 0) shared.kept = memfd_create("kept", MFD_CLOEXEC);
  if (shared.kept < 0 || ftruncate(shared.kept, 0) < 0) return;
  lseek(shared.kept, 0, SEEK_SET);
  session_write(shared.kept, daemon->message + sizeof(uint32_t), daemon->length - sizeof(uint32_t));
}

/* Prints the first line of a text. */
static void print_end(char *text) {
  size_t length = strcspn(text, "\n");
  printable_make(text, length);
  fprintf(stderr, "%s: %.*s\n", program_invocation_short_name, (int)length, text);
}

/* False: the daemon is gone. */
static bool handle_message(void) {
  struct connection *daemon = &shared.daemon;
  connection_receive(daemon);
  struct shared_message head = connection_head(daemon);
  if (daemon->length < sizeof(head.kind)) return false;
  if (head.kind == SHARED_KEEP) store_kept();
  if (head.kind != SHARED_END) return true;
  if (daemon->length > sizeof(head)) print_end(daemon->message + sizeof(head));
  end(session_status(head.number));
}

/* Returns when the daemon is gone. */
static void wait_for_end(int epoll) {
  struct epoll_event event;
  for (;;) {
    int count = epoll_wait(epoll, &event, 1, -1);
    if (count < 0 && errno == EINTR) continue;
    if (count > 0 && event.data.fd == shared.netns.watch && !netns_file_is_gone(&shared.netns)) continue;
    if (count < 0 || event.data.fd != shared.daemon.socket) end(count < 0 ? 1 : 0);
    if (!handle_message()) return;
  }
}

static int pass_over_exec(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFD, 0);
  return fd;
}

static void hand_over(void) {
  char text[64];
  api_socket_end_keeper(&shared.api);
  if (shared.kept >= 0) lseek(shared.kept, 0, SEEK_SET);
  snprintf(text, sizeof(text), "%d,%d,%d", pass_over_exec(shared.tap.fd), pass_over_exec(shared.api.fd),
           pass_over_exec(shared.kept));
  setenv("SLIPWAY_TAKEN", text, 1);
  close(shared.daemon.socket);
  if (shared.tap.process >= 0) close(shared.tap.process);
}

/* Returns false before anything was announced. */
static bool serve_to_the_end(int signals, char *text) {
  int epoll = watch_all(signals);
  if (epoll < 0) return false;
  connection_limit(&shared.daemon, CONNECTION_ENDLESS);
  if (shared.pasta == NULL) announce(text);
  else if (!announce_pasta()) return false;
  tap_end_agent(&shared.tap); /* takes time, and no caller waits for it */
  api_socket_keep(&shared.api, shared.argv);
  wait_for_end(epoll);
  close(epoll);
  hand_over();
  return true;
}

/* Until this returns we handle signals ourselves; Node gets the old handlers and mask back. */
static bool run(char *text) {
  sigset_t set = end_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &set, &before);
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct sigaction pipe_before;
  sigaction(SIGPIPE, &ignore, &pipe_before);
  int signals = signalfd(-1, &set, SFD_CLOEXEC);
  bool is_taken = signals >= 0 && serve_to_the_end(signals, text);
  if (signals >= 0) close(signals);
  sigaction(SIGPIPE, &pipe_before, NULL);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return is_taken;
}

/*
 * For Node, which serves instead: why the daemon does not. The variable is a preference; by --shared the user asked for
 * it, and a daemon that does not answer has cost time.
 */
static void pass_reason(char **argv) {
  if (shared.daemon.is_silent) {
    setenv("SLIPWAY_UNSHARED", silence_reason(&shared.daemon), 1);
    return;
  }
  if (!has_argument(argv, "--shared")) return;
  char *reason = connection_refusal(&shared.daemon);
  reason[strcspn(reason, "\n")] = '\0';
  printable_make(reason, strlen(reason));
  setenv("SLIPWAY_UNSHARED", reason, 1);
}

static bool serve(char **argv) {
  char *text = begin();
  if (text != NULL && run(text)) return true;
  pass_reason(argv);
  session_undo(&shared);
  return false;
}

bool shared_serve(char **argv) {
  session_begin(&shared, argv);
  return serve(argv);
}

bool shared_serve_pasta(char **argv, const struct pasta_options *options, int parent) {
  session_begin(&shared, argv);
  shared.pasta = options;
  shared.parent = parent;
  return serve(argv);
}
