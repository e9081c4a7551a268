/*
 * A command that only asks the daemon.
 *
 *     State       event                      then                                               next
 *     start       a daemon of ours listens   send REQUEST                                       asked
 *     asked       ANSWER                     print it, exit with its status                     ended
 *     asked       PLAN that the caller gave  open the TAP, send it                              connecting
 *     connecting  UP, its settings are made  send DONE                                          done
 *     done        ANSWER                     print it, exit with its status                     ended
 *     any         anything else              close all; Node is started, and asks again         ended
 *
 * Nothing is waited for with a limit, as the process that is started instead would not either: what the daemon has begun
 * must not be asked for again.
 */
#include <string.h>
#include <unistd.h>

#include "../common/printable.h"
#include "session.h"
#include "shared.h"

static struct session asking;

/* Carries out a PLAN and sends DONE. */
static bool connect_namespace(struct session *session) {
  if (!session_take_plan(session) || !session_open_tap(session, &session->plan.target)) return false;
  if (session_set_up(session) == NULL) return false;
  connection_begin(&session->daemon, SHARED_DONE, 0);
  return connection_send(&session->daemon, -1);
}

static bool receive_answer(struct session *session) {
  connection_receive(&session->daemon);
  if (connection_has(&session->daemon, SHARED_PLAN)) {
    if (!connect_namespace(session)) return false;
    connection_receive(&session->daemon);
  }
  return connection_has(&session->daemon, SHARED_ANSWER);
}

static _Noreturn void print_answer(struct connection *daemon) {
  struct shared_message head = connection_head(daemon);
  char *text = daemon->message + sizeof(head);
  size_t length = daemon->length - sizeof(head);
  printable_make(text, length);
  session_write(STDOUT_FILENO, text, length);
  _exit(session_status(head.number));
}

void shared_ask(char **argv) {
  session_begin(&asking, argv);
  if (connection_open(&asking.daemon, CONNECTION_ENDLESS) &&
      connection_request(&asking.daemon, asking.name, argv) && receive_answer(&asking)) {
    print_answer(&asking.daemon);
  }
  session_undo(&asking);
}
