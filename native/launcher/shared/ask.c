/*
 * A command that only asks the daemon.
 *
 *     State       event                      then                                               next
 *     start       a daemon of ours listens   send REQUEST                                       asked
 *     asked       ANSWER                     print it, exit with its status                     ended
 *     asked       PLAN that the caller gave  open the TAP, send it                              connecting
 *     connecting  UP, its settings are made  send DONE                                          done
 *     done        ANSWER                     print it, exit with its status                     ended
 *     any         silence (silence.h)        say so, exit with 1                                ended
 *     any         anything else              close all; Node is started, and asks again         ended
 *
 * After a silence nobody asks again: the daemon may have begun what was asked for.
 */
#include <string.h>
#include <unistd.h>

#include "../common/output.h"
#include "../common/printable.h"
#include "../common/text.h"
#include "session.h"
#include "shared.h"
#include "silence.h"

static struct session asking;

static void receive(struct connection *daemon) {
  if (!silence_wait(daemon)) text_fail("%s", silence_reason(daemon));
  connection_receive(daemon);
}

/* Carries out a PLAN and sends DONE. */
static bool connect_namespace(struct session *session) {
  if (!session_take_plan(session) || !session_pass_tap(session, &session->plan.target)) return false;
  receive(&session->daemon);
  if (session_set_up(session) == NULL) return false;
  connection_begin(&session->daemon, SHARED_DONE, 0);
  return connection_send(&session->daemon, -1);
}

static bool receive_answer(struct session *session) {
  receive(&session->daemon);
  if (connection_has(&session->daemon, SHARED_PLAN)) {
    if (!connect_namespace(session)) return false;
    receive(&session->daemon);
  }
  return connection_has(&session->daemon, SHARED_ANSWER);
}

static _Noreturn void print_answer(struct connection *daemon) {
  struct shared_message head = connection_head(daemon);
  char *text = daemon->message + sizeof(head);
  size_t length = daemon->length - sizeof(head);
  printable_make(text, length);
  output_write(text, length);
  _exit(session_status(head.number));
}

void shared_ask(char **argv) {
  session_begin(&asking, argv);
  if (connection_open(&asking.daemon, CONNECTION_PATIENCE_S)) {
    connection_limit(&asking.daemon, CONNECTION_ENDLESS);
    if (connection_request(&asking.daemon, asking.name, argv) && receive_answer(&asking)) {
      print_answer(&asking.daemon);
    }
  }
  session_undo(&asking);
}
