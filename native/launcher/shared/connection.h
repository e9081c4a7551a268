/* The launcher's connection to the daemon, and one message at a time on it (protocol.h). */
#ifndef SLIPWAY_CONNECTION_H
#define SLIPWAY_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "protocol.h"

enum {
  CONNECTION_PATIENCE_S = 2, /* for each answer until the network is up */
  CONNECTION_ENDLESS = 0,
};

struct connection {
  int socket;     /* -1: there is none */
  bool is_silent; /* the daemon did not answer in time */
  size_t length;  /* of what is in `message` */
  char message[SHARED_MESSAGE_MAX + 1];
};

/* Connects to the user's daemon, which must run as this user. Each answer may take `seconds`, or CONNECTION_ENDLESS. */
bool connection_open(struct connection *connection, int seconds);

void connection_limit(const struct connection *connection, int seconds);

/* The process that made the socket, or 0: it is not known, or not in our PID namespace. */
pid_t connection_peer(const struct connection *connection);

/*
 * Composes and sends a message: begin, texts, send, with the descriptor `fd` unless -1. `put_identity` adds a file
 * as DEVICE:INODE, 0:0 when it is missing. False: the message is too long, or the daemon is gone.
 */
void connection_begin(struct connection *connection, enum shared_from_launcher kind, int number);
bool connection_put(struct connection *connection, const char *text);
bool connection_put_identity(struct connection *connection, const char *path);
bool connection_send(struct connection *connection, int fd);

/* Sends REQUEST. `name` is what we were called, `argv` the command line. */
bool connection_request(struct connection *connection, const char *name, char **argv);

/* Whether a message, or the end of the connection, comes within so many ms. */
bool connection_wait(const struct connection *connection, int ms);

/* Receives the next message, with a NUL behind it. Its length is 0 when there is none. */
void connection_receive(struct connection *connection);

/* Whether the message received is of that kind, and has a whole head. */
bool connection_has(const struct connection *connection, enum shared_from_daemon kind);

/* The head of the message received; missing fields are 0. */
struct shared_message connection_head(const struct connection *connection);

/*
 * Why the daemon does not serve us, before UP: the text of its END, which may wait behind a PLAN and behind the error
 * of our last message. The daemon sends it before it closes: it is not waited for.
 */
char *connection_refusal(struct connection *connection);

/* Waits until the daemon has closed its copies of our descriptors, for 2 s at most. */
void connection_leave(struct connection *connection);

#endif
