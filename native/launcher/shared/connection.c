#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "../common/daemon-paths.h"

enum { REFUSAL_TRIES = 4 };

/* Of the process that listens. False: not connected. */
static bool read_peer(int socket, struct ucred *peer) {
  socklen_t length = sizeof(*peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, peer, &length) == 0;
}

/* Root must not be served by another user's daemon, whose host network is not ours. */
static bool is_ours(int socket) {
  struct ucred peer;
  return read_peer(socket, &peer) && peer.uid == geteuid();
}

pid_t connection_peer(const struct connection *connection) {
  struct ucred peer;
  return read_peer(connection->socket, &peer) ? peer.pid : 0;
}

void connection_limit(const struct connection *connection, int seconds) {
  struct timeval limit = {.tv_sec = seconds};
  setsockopt(connection->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(connection->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool connection_open(struct connection *connection, int seconds) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!daemon_paths_launchers(&address)) return false;
  connection->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connection->socket < 0) return false;
  connection_limit(connection, seconds);
  if (connect(connection->socket, (const struct sockaddr *)&address, sizeof(address)) == 0) {
    if (is_ours(connection->socket)) return true;
  } else {
    connection->is_silent = errno == EAGAIN; /* its backlog was full all the time (unix(7)) */
  }
  close(connection->socket);
  connection->socket = -1;
  return false;
}

void connection_begin(struct connection *connection, enum shared_from_launcher kind, int number) {
  struct shared_message head = {.kind = kind, .number = number};
  memcpy(connection->message, &head, sizeof(head));
  connection->length = sizeof(head);
}

bool connection_put(struct connection *connection, const char *text) {
  size_t size = strlen(text) + 1;
  if (size > SHARED_REQUEST_MAX - connection->length) return false;
  memcpy(connection->message + connection->length, text, size);
  connection->length += size;
  return true;
}

bool connection_put_identity(struct connection *connection, const char *path) {
  struct stat status = {0};
  char text[64];
  if (stat(path, &status) < 0 && errno != ENOENT) return false;
  snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)status.st_dev,
           (unsigned long long)status.st_ino);
  return connection_put(connection, text);
}

bool connection_send(struct connection *connection, int fd) {
  size_t length = connection->length;
  return process_send_fd(connection->socket, connection->message, length, 0, fd) ==
         (ssize_t)length;
}

bool connection_request(struct connection *connection, const char *name, char **argv) {
  char pid[16];
  snprintf(pid, sizeof(pid), "%d", getpid());
  connection_begin(connection, SHARED_REQUEST, SHARED_VERSION);
  if (!connection_put_identity(connection, "/proc/self/ns/net") ||
      !connection_put_identity(connection, "/etc/resolv.conf") ||
      !connection_put(connection, pid) || !connection_put(connection, name)) {
    return false;
  }
  for (char **argument = argv + 1; *argument != NULL; argument++) {
    if (!connection_put(connection, *argument)) return false;
  }
  return connection_send(connection, -1);
}

bool connection_wait(const struct connection *connection, int ms) {
  struct pollfd waiting = {.fd = connection->socket, .events = POLLIN};
  return poll(&waiting, 1, ms) != 0;
}

void connection_receive(struct connection *connection) {
  ssize_t length = process_recv(connection->socket, connection->message, SHARED_MESSAGE_MAX);
  connection->is_silent = length < 0 && errno == EAGAIN;
  connection->length = length > 0 ? (size_t)length : 0;
  connection->message[connection->length] = '\0';
}

bool connection_has(const struct connection *connection, enum shared_from_daemon kind) {
  return connection->length >= sizeof(struct shared_message) &&
         connection_head(connection).kind == kind;
}

struct shared_message connection_head(const struct connection *connection) {
  struct shared_message head = {0};
  size_t length = connection->length < sizeof(head) ? connection->length : sizeof(head);
  memcpy(&head, connection->message, length);
  return head;
}

char *connection_refusal(struct connection *connection) {
  static char no_daemon[] = "no daemon of yours runs: slipway daemon start";
  static char no_reason[] = "the daemon did not answer as expected: slipway daemon status";
  if (connection->socket < 0) return no_daemon;
  for (int i = 0; i < REFUSAL_TRIES; i++) {
    if (connection_has(connection, SHARED_END)) return connection->message + sizeof(struct shared_message);
    if (!connection_wait(connection, 0)) break;
    connection_receive(connection);
  }
  return no_reason;
}

void connection_leave(struct connection *connection) {
  int64_t until = process_now_ms() + CONNECTION_PATIENCE_S * INT64_C(1000);
  connection_limit(connection, CONNECTION_PATIENCE_S);
  if (shutdown(connection->socket, SHUT_WR) < 0) return;
  while (process_recv(connection->socket, connection->message, SHARED_MESSAGE_MAX) > 0 &&
         process_now_ms() <= until) {
    continue;
  }
}
