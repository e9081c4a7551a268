#include "silence.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/text.h"

enum {
  LOOK_MS = 500,
  STOPPED_LOOKS = 2, /* in a row: it may be about to go on */
  MOST_LOOKS = 120,
};

/* From proc_pid_stat(5). */
struct process {
  char state; /* 0: it is not there */
  pid_t parent;
  bool is_ours; /* it has Slipway's name */
};

static struct process look_at(pid_t pid) {
  struct process found = {0};
  char path[32];
  char text[512];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return found;
  ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  text[length > 0 ? length : 0] = '\0';
  const char *rest = strrchr(text, ')'); /* the name may have any characters */
  if (rest == NULL || sscanf(rest, ") %c %d", &found.state, &found.parent) != 2) return (struct process){0};
  found.is_ours = strstr(text, "(slipway)") != NULL;
  return found;
}

/* The daemon, and its supervisor, without which it cannot go on; NULL when neither is stopped. The caller's to free. */
static char *stopped_processes(pid_t pid) {
  struct process daemon = look_at(pid);
  struct process parent = look_at(daemon.parent);
  bool is_stopped = daemon.state == 'T';
  if (parent.state != 'T' || !parent.is_ours) return is_stopped ? text_format("%d", pid) : NULL;
  return is_stopped ? text_format("%d %d", daemon.parent, pid) : text_format("%d", daemon.parent);
}

static bool is_stopped(pid_t pid) {
  char *stopped = stopped_processes(pid);
  bool result = stopped != NULL;
  free(stopped);
  return result;
}

bool silence_wait(const struct connection *connection) {
  pid_t pid = connection_peer(connection);
  int stopped = 0;
  for (int looks = 0; looks < MOST_LOOKS && stopped < STOPPED_LOOKS; looks++) {
    if (connection_wait(connection, LOOK_MS)) return true;
    stopped = is_stopped(pid) ? stopped + 1 : 0;
  }
  return false;
}

/* In the words of src/client/patience.ts. */
char *silence_reason(const struct connection *connection) {
  pid_t pid = connection_peer(connection);
  if (pid <= 0) return text_format("the daemon does not answer");
  char *stopped = stopped_processes(pid);
  char *silent = text_format("the daemon (process %d) does not answer", pid);
  char *reason = stopped == NULL ? text_format("%s: if it stays so, kill -KILL %d, and try again", silent, pid)
                                 : text_format("%s, as it is stopped: kill -CONT %s, and try again", silent, stopped);
  free(silent);
  free(stopped);
  return reason;
}
