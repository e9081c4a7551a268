#include "session.h"

#include <unistd.h>

#include "../common/program.h"

enum { STATUS_MAX = 255 };

void session_begin(struct session *session, char **argv) {
  session->argv = argv;
  session->name = program_name(argv);
  session->daemon.socket = -1;
  session->tap = (struct tap){.fd = -1, .process = -1, .agent.socket = -1};
  session->api = (struct api_socket){.fd = -1};
  session->kept = -1;
  session->parent = -1;
  session->pid_file = -1;
  session->netns.watch = -1;
}

bool session_pass_tap(struct session *session, const struct target *target) {
  return tap_open(&session->tap, target, session->argv) && tap_send(&session->tap, target, &session->daemon);
}

bool session_take_plan(struct session *session) {
  const struct plan *plan = &session->plan;
  if (!plan_take(&session->plan, &session->daemon)) return false;
  return session->pasta == NULL ? plan_is_given(plan, session->argv) : plan_is_pastas(plan, session->pasta);
}

char *session_set_up(struct session *session) {
  if (!connection_has(&session->daemon, SHARED_UP)) return NULL;
  char *text = tap_configure(&session->tap, &session->daemon);
  return tap_process_lives(&session->tap) ? text : NULL;
}

void session_undo(struct session *session) {
  int fds[] = {session->daemon.socket, session->tap.fd,   session->api.fd,
               session->tap.process,   session->pid_file, session->netns.watch};
  tap_end_agent(&session->tap);
  api_socket_remove(&session->api);
  connection_leave(&session->daemon);
  for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
    if (fds[i] >= 0) close(fds[i]);
  }
}

void session_write(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, text, length);
    if (written <= 0) return; /* nobody reads it */
    text += written;
    length -= (size_t)written;
  }
}

int session_status(int number) {
  return number >= 0 && number <= STATUS_MAX ? number : 1;
}
