#include "pid-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outside.h"
#include "safe-directory.h"

/* The folder of a file, as an absolute path. */
static int folder_of(const char *path, char folder[PATH_MAX]) {
  char here[PATH_MAX] = "";
  if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL) return -errno;
  int length = snprintf(folder, PATH_MAX, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
  if (length < 0 || length >= PATH_MAX) return -ENAMETOOLONG;
  char *slash = strrchr(folder, '/');
  slash[slash == folder ? 1 : 0] = '\0';
  return 0;
}

/* Who reads the number signals that process: nobody else may choose it, and it is written nowhere else. */
static int check(int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0) return -errno;
  bool is_ours = S_ISREG(status.st_mode) && status.st_uid == geteuid() && status.st_nlink == 1;
  if (!is_ours) return -EPERM;
  return fchmod(fd, S_IRUSR | S_IWUSR) < 0 ? -errno : 0;
}

int pid_file_open(const char *path) {
  char folder[PATH_MAX];
  int error = folder_of(path, folder);
  if (error < 0) return error;
  if (!safe_directory(folder, outside_look().is_all)) return -EPERM;
  int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int fd = open(path, flags, S_IRUSR | S_IWUSR);
  if (fd < 0) return -errno;
  error = check(fd);
  if (error == 0) return fd;
  close(fd);
  return error;
}

int pid_file_write(int fd, pid_t pid) {
  char text[16];
  int length = snprintf(text, sizeof(text), "%d\n", pid);
  if (ftruncate(fd, 0) < 0) return -1;
  ssize_t written = pwrite(fd, text, (size_t)length, 0);
  if (written == length) return 0;
  if (written >= 0) errno = ENOSPC;
  return -1;
}
