/* What the fuzzers with a hostile peer share. Include it once. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../native/test/send-with.h"

/* ---- figures ------------------------------------------------------------------------------------ */

/* This process's own counts, or in FUZZ_TALLY, a file that all processes and runs share. */
static struct tally {
  uint64_t inputs, messages;
} own_tally, *tally = &own_tally;

static void report_tally(void) {
  fprintf(stderr, "stat::inputs:                   %llu\n", (unsigned long long)tally->inputs);
  fprintf(stderr, "stat::messages:                 %llu\n", (unsigned long long)tally->messages);
}

static void start_tally(void) {
  const char *path = getenv("FUZZ_TALLY");
  int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file >= 0 && ftruncate(file, sizeof(*tally)) == 0) {
    void *mapped = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) tally = mapped;
  }
  if (file >= 0) close(file);
  atexit(report_tally);
}

/* ---- findings ----------------------------------------------------------------------------------- */

static _Noreturn void found(const char *what) {
  fprintf(stderr, "finding: %s\n", what);
  abort();
}

static _Noreturn void give_up(const char *what) {
  fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* The lowest free number: the same before and after an input, unless it leaked a descriptor. */
static int lowest_free(void) {
  int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  if (fd >= 0) close(fd);
  return fd;
}

/* ---- the input ------------------------------------------------------------------------------------ */

struct input {
  const uint8_t *at;
  size_t left;
};

static uint8_t take_byte(struct input *input) {
  if (input->left == 0) return 0;
  input->left--;
  return *input->at++;
}

static uint32_t take_word(struct input *input) {
  uint32_t word = 0;
  for (int i = 0; i < 4; i++) word |= (uint32_t)take_byte(input) << (8 * i);
  return word;
}

/* Up to `most` bytes: as many as a length of two bytes says, if the input has them. */
static size_t take_bytes(struct input *input, void *bytes, size_t most) {
  size_t length = take_byte(input);
  length |= (size_t)take_byte(input) << 8;
  if (length > most) length = most;
  if (length > input->left) length = input->left;
  if (length > 0) memcpy(bytes, input->at, length);
  input->at += length;
  input->left -= length;
  return length;
}

/* ---- the peer's end ----------------------------------------------------------------------------- */

enum { PEER_FDS_MAX = 8 };

/* A descriptor of a kind that the input chooses; closed by the caller. */
static int take_descriptor(struct input *input) {
  int pair[2];
  switch (take_byte(input) % 6) {
    case 0:
      return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 1:
      return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 2:
      if (pipe2(pair, O_CLOEXEC) < 0) give_up("pipe");
      close(pair[1]);
      return pair[0];
    case 3:
      return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    case 4:
      return memfd_create("fuzz", MFD_CLOEXEC);
    default:
      return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
}

static void send_to(int socket, const void *bytes, size_t length, const int *fds, size_t count) {
  send_with(socket, bytes, length, fds, count, MSG_DONTWAIT);
  tally->messages++;
}

/* With as many descriptors as the input says. */
static void send_from(struct input *input, int socket, const void *bytes, size_t length) {
  int fds[PEER_FDS_MAX];
  uint8_t wish = take_byte(input);
  size_t count = wish < 224 ? 0 : 1 + wish % PEER_FDS_MAX;
  for (size_t i = 0; i < count; i++) fds[i] = take_descriptor(input);
  send_to(socket, bytes, length, fds, count);
  for (size_t i = 0; i < count; i++) close(fds[i]);
}

/* The length of an answer, or -1; `fd` gets the descriptor that came along, or -1. */
static ssize_t receive_with(int socket, void *bytes, size_t length, int *fd) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {bytes, length};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof(control)};
  ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  const struct cmsghdr *part = received < 0 ? NULL : CMSG_FIRSTHDR(&message);
  *fd = -1;
  if (part != NULL && part->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(part), sizeof(*fd));
  return received;
}

/* ---- the environment ------------------------------------------------------------------------------ */

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) give_up(path);
  close(fd);
}

/*
 * libFuzzer's thread that watches our size may hold a lock of the sanitizer while we fork; the child would
 * wait for it for ever. Later flags win.
 */
static void leave_threads_out(int *argc, char ***argv) {
  static char none[] = "-rss_limit_mb=0";
  char **longer = calloc((size_t)*argc + 2, sizeof(*longer));
  if (longer == NULL) give_up("calloc");
  memcpy(longer, *argv, (size_t)*argc * sizeof(*longer));
  longer[(*argc)++] = none;
  *argv = longer;
}

/* Root of a user namespace of our own, alone in its network namespace. */
static void enter_own_namespaces(void) {
  char uid_map[32];
  char gid_map[32];
  snprintf(uid_map, sizeof(uid_map), "0 %u 1", geteuid());
  snprintf(gid_map, sizeof(gid_map), "0 %u 1", getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) give_up("unshare");
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/gid_map", gid_map);
  write_text("/proc/self/uid_map", uid_map);
}

#endif
