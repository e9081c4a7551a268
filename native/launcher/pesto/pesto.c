/*
 * The protocol is ours: one JSON request, at whose end this side of the socket is closed; the answer is pesto's exit status
 * as a digit, and what it prints (src/host/ports/pesto.ts).
 */
#include "pesto.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "../common/output.h"
#include "../common/printable.h"
#include "../common/text.h"

enum {
  TIME_LIMIT_SECONDS = 10,
  MOST_REQUEST = 65535, /* src/api/client.ts */
  MOST_ANSWER = 16 << 20,
};

static bool is_about_itself(char **argv) {
  for (char **word = argv + 1; *word != NULL; word++) {
    if (strcmp(*word, "-h") == 0 || strcmp(*word, "--help") == 0) return true;
    if (strcmp(*word, "--version") == 0) return true;
  }
  return false;
}

/* Returns a connected socket, or -1. */
static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval limit = {.tv_sec = TIME_LIMIT_SECONDS};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

struct request {
  char text[MOST_REQUEST];
  size_t length;
  bool is_too_long;
};

static void add(struct request *request, const char *text, size_t length) {
  if (request->length + length > sizeof(request->text)) {
    request->is_too_long = true;
    return;
  }
  memcpy(request->text + request->length, text, length);
  request->length += length;
}

static void add_string(struct request *request, const char *text) {
  add(request, "\"", 1);
  for (const char *c = text; *c != '\0'; c++) {
    char escaped[7];
    bool is_plain = (unsigned char)*c >= ' ' && *c != '"' && *c != '\\';
    if (is_plain) add(request, c, 1);
    else add(request, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char)*c));
  }
  add(request, "\"", 1);
}

static void write_request(struct request *request, int argc, char **argv) {
  static const char head[] = "{\"execute\":\"pesto\",\"arguments\":{\"args\":[";
  add(request, head, sizeof(head) - 1);
  for (int i = 1; i < argc; i++) {
    if (i > 1) add(request, ",", 1);
    add_string(request, argv[i]);
  }
  add(request, "]}}", 3);
}

static bool send_all(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    text += sent;
    length -= (size_t)sent;
  }
  return shutdown(fd, SHUT_WR) == 0;
}

struct answer {
  char *text;
  size_t length;
};

/* Reads to the end. Returns false with errno: EAGAIN when that takes too long, however little comes at a time. */
static bool receive_all(int fd, struct answer *answer) {
  int64_t until = process_now_ms() + TIME_LIMIT_SECONDS * INT64_C(1000);
  size_t room = 0;
  for (;;) {
    errno = EAGAIN;
    if (process_now_ms() > until) return false;
    if (answer->length == room) {
      room = room == 0 ? 4096 : 2 * room;
      errno = EMSGSIZE;
      if (room > MOST_ANSWER) return false;
      answer->text = realloc(answer->text, room);
      if (answer->text == NULL) return false;
    }
    ssize_t received = recv(fd, answer->text + answer->length, room - answer->length, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return received == 0;
    answer->length += (size_t)received;
  }
}

void pesto_ask(int argc, char **argv) {
  if (argc < 2 || is_about_itself(argv)) return;
  const char *path = argv[argc - 1];
  int fd = connect_to(path);
  if (fd < 0) return;
  static struct request request;
  write_request(&request, argc, argv);
  if (request.is_too_long) text_fail("the command line is too long: give fewer ports at once");
  struct answer answer = {0};
  bool is_answered = send_all(fd, request.text, request.length) && receive_all(fd, &answer);
  if (!is_answered && errno == EAGAIN) {
    text_fail("no answer at %s for %d s: is pasta stopped?", path, TIME_LIMIT_SECONDS);
  }
  if (!is_answered) text_fail("no answer at %s: %s", path, strerror(errno));
  char status = answer.length > 0 ? answer.text[0] : '\0';
  if (status != '0' && status != '1') text_fail("%s is not the socket of a pasta -c", path);
  printable_make(answer.text + 1, answer.length - 1); /* a guest may have taken over who answers */
  if (status == '1') text_fail("%.*s", (int)(answer.length - 1), answer.text + 1);
  output_write(answer.text + 1, answer.length - 1);
  exit(0);
}
