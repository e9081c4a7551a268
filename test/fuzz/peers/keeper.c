/* The keeper: messages of any kind, and a resolv.conf and an API socket of any type. */
#include <setjmp.h>
#include <unistd.h>

static jmp_buf ended;
/* The process ends with the input. */
#define _exit(status) longjmp(ended, 1 + (status))
#include "../../../native/launcher/sandbox/keeper.c"
#undef _exit

#include <sys/un.h>

#include "peer.h"

static char directory[] = "/tmp/fuzz-keeper-XXXXXX";
static char file[64];
static char api_path[64];
static int root;

static void remove_directory(void) {
  unlink(file);
  unlink(api_path);
  rmdir(directory);
}

/* A file of any size, a FIFO, a directory, a link to itself, or nothing. */
static void make_resolv_conf(struct input *input) {
  static uint8_t text[KEEPER_TEXT_MAX + 100];
  uint8_t shape = take_byte(input);
  unlink(file);
  rmdir(file);
  if (shape > 250) mkfifo(file, 0600);
  else if (shape > 245) mkdir(file, 0700);
  else if (shape > 240 && symlink(file, file) < 0) give_up("symlink");
  else if (shape < 230) {
    size_t length = take_bytes(input, text, 4096);
    if (shape > 220) length = sizeof(text);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, length) < 0) give_up(file);
    close(fd);
  }
}

/* A socket, another file, or nothing. */
static void make_api(uint8_t shape) {
  unlink(api_path);
  if (shape % 3 == 0) return;
  if (shape % 3 == 1 && mknod(api_path, S_IFREG | 0600, 0) < 0) give_up(api_path);
  if (shape % 3 == 1) return;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, api_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) give_up(api_path);
  close(fd);
}

static void put_path(struct input *input, char path[BROKER_PATH_CAPACITY]) {
  uint8_t shape = take_byte(input);
  memset(path, 0, BROKER_PATH_CAPACITY);
  if (shape < 128) strcpy(path, api_path);
  else if (shape < 160) memset(path, shape < 144 ? '/' : 'x', BROKER_PATH_CAPACITY - 1);
  else if (shape < 170) strcpy(path, directory);
  else take_bytes(input, path, BROKER_PATH_CAPACITY - 1);
}

/* It must have removed a socket, if one was at the path, and nothing else. */
static void check_api(bool is_named, bool was_socket, bool was_file) {
  struct stat status;
  bool is_there = lstat(api_path, &status) == 0;
  if (was_file && !is_there) found("a file that is no socket was removed");
  if (was_socket && is_named && is_there) found("the socket was left");
}

static void serve_input(struct input *input, int pair[2], const struct api_socket *api) {
  uint8_t bytes[64];
  struct keeper_answer head;
  for (int i = 0; i < 32 && input->left > 0; i++) {
    size_t length = take_byte(input) > 250 ? take_bytes(input, bytes, sizeof(bytes)) : 1;
    send_from(input, pair[1], bytes, length);
  }
  shutdown(pair[1], SHUT_WR);
  if (setjmp(ended) == 0) serve(file, api);
  while (recv(pair[1], &head, sizeof(head), MSG_DONTWAIT) >= (ssize_t)sizeof(head)) {
    if (head.changed > 1) found("an answer that is none");
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  start_tally();
  if (mkdtemp(directory) == NULL) give_up(directory);
  snprintf(file, sizeof(file), "%s/resolv.conf", directory);
  snprintf(api_path, sizeof(api_path), "%s/api.sock", directory);
  atexit(remove_directory);
  root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dup2(root, SOCKET) < 0 || dup2(root, API_DIRECTORY) < 0) give_up("dup2");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  int baseline = lowest_free();
  static char path[BROKER_PATH_CAPACITY];
  struct api_socket api = {.name = ""};
  struct stat status = {0};
  int pair[2];
  tally->inputs++;
  uint8_t shape = take_byte(&input);
  make_api(shape);
  make_resolv_conf(&input);
  put_path(&input, path);
  lstat(api_path, &status);
  int found_directory = path[0] == '\0' ? -1 : find_api_socket(path, &api);
  if (process_socketpair(pair) < 0) give_up("socketpair");
  dup2(pair[0], SOCKET);
  close(pair[0]);
  if (found_directory >= 0) dup2(found_directory, API_DIRECTORY);
  if (found_directory >= 0) close(found_directory);
  serve_input(&input, pair, &api);
  close(pair[1]);
  dup2(root, SOCKET);
  dup2(root, API_DIRECTORY);
  check_api(strcmp(path, api_path) == 0, S_ISSOCK(status.st_mode), S_ISREG(status.st_mode));
  if (lowest_free() != baseline) found("a descriptor was left open, or one too many closed");
  return 0;
}
