/*
 * The keeper: what the broker becomes once the network is up, so that the process which asks it needs no right to open a
 * file.
 *
 *     State    event                              then                                               next
 *     start    keeper_run                         confine itself, reply how that went                asked, or ended
 *     asked    a byte, whatever it is             send the text of resolv.conf, following links, if  asked
 *                                                 it has changed since the last answer
 *     asked    the other end closes, or takes no  remove the API's socket, if it still is that file  ended
 *              answer
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "../../src/broker/protocol.h"
#include "../../src/confine/confine.h"
#include "../../src/confine/filter.h"
#include "../../src/os/process.h"

/* Descriptors of the keeper; it has no others. */
enum { SOCKET, API_DIRECTORY, FIRST_FREE };

/* The file to be removed at the end, as it was when we began. */
struct api_socket {
  char name[NAME_MAX + 1]; /* "": there is none */
  dev_t device;
  ino_t inode;
};

/* Identity and version of a file. */
struct stamp {
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec modified;
  struct timespec changed;
};

static struct stamp stamp_of(const struct stat *status) {
  struct stamp stamp;
  memset(&stamp, 0, sizeof(stamp)); /* it is compared as bytes */
  stamp.device = status->st_dev;
  stamp.inode = status->st_ino;
  stamp.size = status->st_size;
  stamp.modified = status->st_mtim;
  stamp.changed = status->st_ctim;
  return stamp;
}

static struct {
  struct keeper_answer head;
  char text[KEEPER_TEXT_MAX];
} answer;

/* #syscalls keeper: close fstat newfstatat read */

/* Returns the length of the text, or -1 when it has not changed or cannot be read now. */
static ssize_t read_changed(int file, struct stamp *last) {
  struct stat status;
  if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) return -1;
  struct stamp stamp = stamp_of(&status);
  if (memcmp(&stamp, last, sizeof(stamp)) == 0) return -1;
  size_t length = 0;
  ssize_t count;
  while ((count = read(file, answer.text + length, sizeof(answer.text) - length)) > 0) {
    length += (size_t)count;
  }
  if (count < 0) return -1;
  *last = stamp;
  return (ssize_t)length;
}

/* #syscalls keeper: openat(2&OPEN_CHANGES=O_RDONLY) open(1&OPEN_CHANGES=O_RDONLY) */
static ssize_t read_file(const char *path, struct stamp *last) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return -1; /* it is being replaced, or the host has none */
  ssize_t length = read_changed(file, last);
  close(file);
  return length;
}

/* #syscalls keeper: unlinkat exit_group */
static _Noreturn void end(const struct api_socket *api) {
  struct stat status;
  if (api->name[0] != '\0' &&
      fstatat(API_DIRECTORY, api->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISSOCK(status.st_mode) && status.st_dev == api->device && status.st_ino == api->inode) {
    unlinkat(API_DIRECTORY, api->name, 0);
  }
  _exit(0);
}

/* #syscalls keeper: recvfrom recvmsg sendto sendmsg restart_syscall */
static _Noreturn void serve(const char *path, const struct api_socket *api) {
  struct stamp last = {0};
  char asked;
  while (process_recv(SOCKET, &asked, 1) > 0) {
    ssize_t length = read_file(path, &last);
    answer.head.changed = length >= 0;
    size_t size = sizeof(answer.head) + (length > 0 ? (size_t)length : 0);
    if (process_send(SOCKET, &answer, size) < 0) break;
  }
  end(api);
}

/* Opens the directory of the API's socket and notes which file it is. */
static int find_api_socket(const char *path, struct api_socket *api) {
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  char directory[BROKER_PATH_CAPACITY] = ".";
  if (slash != NULL) {
    memcpy(directory, path, (size_t)(slash - path) + 1);
    directory[slash - path + 1] = '\0';
  }
  if (strlen(name) > NAME_MAX) return -1;
  int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct stat status;
  if (fd < 0) return -1;
  if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(status.st_mode)) {
    close(fd);
    return -1;
  }
  *api = (struct api_socket){.device = status.st_dev, .inode = status.st_ino};
  strcpy(api->name, name);
  return fd;
}

/*
 * Moves our descriptors to their numbers and closes all others. Both are above stderr, as are those that the
 * caller had open.
 */
static void keep_only(int socket, int api_directory) {
  dup2(socket, SOCKET);
  if (api_directory >= 0) dup2(api_directory, API_DIRECTORY);
  syscall(SYS_close_range, api_directory >= 0 ? FIRST_FREE : API_DIRECTORY, UINT_MAX, 0);
}

/* With Landlock files can be read, files can be removed from the one directory, and nothing else. */
static int confine_files(bool has_api_socket) {
  int ruleset = confine_ruleset();
  if (ruleset < 0) return confine_thread(-1);
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int error = confine_allow(ruleset, root, CONFINE_READ_FILE);
  if (has_api_socket) error |= confine_allow(ruleset, API_DIRECTORY, CONFINE_REMOVE_FILE);
  error |= confine_thread(ruleset);
  close(root);
  close(ruleset);
  return error;
}

/* Root needs one capability to remove a file from another user's directory. */
static capabilities needed(bool has_api_socket) {
  struct stat directory;
  if (!has_api_socket || fstat(API_DIRECTORY, &directory) < 0) return 0;
  if (directory.st_uid == geteuid()) return 0;
  return confine_permitted() & capability(CAP_DAC_OVERRIDE);
}

static int confine(bool has_api_socket) {
  confine_bounding_set();
  capabilities kept = needed(has_api_socket);
  if (confine_capabilities(kept, 0) < 0 || confine_files(has_api_socket) != 0) return -errno;
  return filter_load(FILTER_KEEPER, false);
}

_Noreturn void keeper_run(int socket, const char *resolv_conf, const char *api_socket) {
  struct api_socket api = {.name = ""};
  bool has_api_socket = api_socket[0] != '\0';
  int api_directory = has_api_socket ? find_api_socket(api_socket, &api) : -1;
  has_api_socket = api_directory >= 0;
  keep_only(socket, api_directory);
  int error = chdir("/") < 0 ? -errno : confine(has_api_socket);
  struct broker_reply reply = {.result = error, .step = STEP_KEEPER};
  process_send(SOCKET, &reply, sizeof(reply));
  if (error < 0) _exit(1);
  serve(resolv_conf, &api);
}
