#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers first, then strings with their NULs: file, argv, env, hidden, newuidmap, newgidmap, files, directory. */
struct header {
  uint32_t argument_count;
  uint32_t variable_count;
  uint32_t keep_count; /* these two with their -1 */
  uint32_t ignore_count;
  uint32_t hidden_count;
  uint32_t newuidmap_count;
  uint32_t newgidmap_count;
  uint32_t own_pids;
  uint32_t has_file[HELD_FILE_COUNT];
  uint32_t has_directory;
  char uid_map[sizeof(((struct held_plan *)0)->uid_map)];
  char gid_map[sizeof(((struct held_plan *)0)->gid_map)];
  char outer_uid_map[sizeof(((struct held_plan *)0)->outer_uid_map)];
  char outer_gid_map[sizeof(((struct held_plan *)0)->outer_gid_map)];
  char hostname[sizeof(((struct held_plan *)0)->hostname)];
};

bool plan_has_more_ids(const struct held_plan *plan) {
  return plan->newuidmap != NULL && plan->newuidmap[0] != NULL;
}

static bool put(int fd, const void *bytes, size_t length) {
  const char *rest = bytes;
  while (length > 0) {
    ssize_t written = write(fd, rest, length);
    if (written < 0) return false;
    rest += written;
    length -= (size_t)written;
  }
  return true;
}

static bool put_string(int fd, const char *text) {
  return put(fd, text, strlen(text) + 1);
}

static uint32_t count_strings(char **strings) {
  uint32_t count = 0;
  if (strings == NULL) return 0;
  while (strings[count] != NULL) count++;
  return count;
}

static bool put_strings(int fd, char **strings) {
  for (; strings != NULL && *strings != NULL; strings++) {
    if (!put_string(fd, *strings)) return false;
  }
  return true;
}

static uint32_t count_numbers(const int *numbers) {
  uint32_t count = 1;
  while (numbers[count - 1] >= 0) count++;
  return count;
}

static bool put_files(int fd, const struct held_plan *plan) {
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (plan->files[i] != NULL && !put_string(fd, plan->files[i])) return false;
  }
  return true;
}

static bool put_plan(int fd, const struct held_plan *plan) {
  struct header header = {
      .argument_count = count_strings(plan->argv),
      .variable_count = count_strings(plan->env),
      .keep_count = count_numbers(plan->keep),
      .ignore_count = count_numbers(plan->ignore),
      .hidden_count = count_strings(plan->hidden),
      .newuidmap_count = count_strings(plan->newuidmap),
      .newgidmap_count = count_strings(plan->newgidmap),
      .own_pids = plan->own_pids,
      .has_directory = plan->directory != NULL,
  };
  for (int i = 0; i < HELD_FILE_COUNT; i++) header.has_file[i] = plan->files[i] != NULL;
  memcpy(header.uid_map, plan->uid_map, sizeof(header.uid_map));
  memcpy(header.gid_map, plan->gid_map, sizeof(header.gid_map));
  memcpy(header.outer_uid_map, plan->outer_uid_map, sizeof(header.outer_uid_map));
  memcpy(header.outer_gid_map, plan->outer_gid_map, sizeof(header.outer_gid_map));
  memcpy(header.hostname, plan->hostname, sizeof(header.hostname));
  return put(fd, &header, sizeof(header)) &&
         put(fd, plan->keep, header.keep_count * sizeof(*plan->keep)) &&
         put(fd, plan->ignore, header.ignore_count * sizeof(*plan->ignore)) &&
         put_string(fd, plan->file) && put_strings(fd, plan->argv) && put_strings(fd, plan->env) &&
         put_strings(fd, plan->hidden) && put_strings(fd, plan->newuidmap) &&
         put_strings(fd, plan->newgidmap) && put_files(fd, plan) &&
         (plan->directory == NULL || put_string(fd, plan->directory));
}

/* A plan must not change while it is read. */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int plan_write(const struct held_plan *plan) {
  int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (put_plan(fd, plan) && fcntl(fd, F_ADD_SEALS, SEALS) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

/* The bytes not read yet; `length` becomes 0 when something did not fit. */
struct rest {
  char *bytes;
  size_t length;
};

static void *take(struct rest *rest, size_t length) {
  if (length > rest->length) {
    rest->length = 0;
    return NULL;
  }
  void *taken = rest->bytes;
  rest->bytes += length;
  rest->length -= length;
  return taken;
}

static char *take_string(struct rest *rest) {
  return take(rest, strnlen(rest->bytes, rest->length) + 1);
}

static bool take_strings(struct rest *rest, uint32_t count, char ***strings) {
  if (count > rest->length) return false; /* each has a byte at least */
  *strings = calloc((size_t)count + 1, sizeof(**strings));
  if (*strings == NULL) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (((*strings)[i] = take_string(rest)) == NULL) return false;
  }
  return true;
}

static int *take_numbers(struct rest *rest, uint32_t count) {
  int *numbers = take(rest, (size_t)count * sizeof(*numbers));
  return numbers != NULL && count > 0 && numbers[count - 1] == -1 ? numbers : NULL;
}

static bool take_files(struct rest *rest, const uint32_t has_file[HELD_FILE_COUNT],
                       struct held_plan *plan) {
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (has_file[i] == 0) continue;
    plan->files[i] = take_string(rest);
    if (plan->files[i] == NULL) return false;
  }
  return true;
}

static bool is_text(const char *bytes, size_t capacity) {
  return memchr(bytes, '\0', capacity) != NULL;
}

static bool take_header(struct rest *rest, struct header *header, struct held_plan *plan) {
  const void *bytes = take(rest, sizeof(*header));
  if (bytes == NULL) return false;
  memcpy(header, bytes, sizeof(*header));
  memcpy(plan->uid_map, header->uid_map, sizeof(plan->uid_map));
  memcpy(plan->gid_map, header->gid_map, sizeof(plan->gid_map));
  memcpy(plan->outer_uid_map, header->outer_uid_map, sizeof(plan->outer_uid_map));
  memcpy(plan->outer_gid_map, header->outer_gid_map, sizeof(plan->outer_gid_map));
  memcpy(plan->hostname, header->hostname, sizeof(plan->hostname));
  plan->own_pids = header->own_pids != 0;
  return is_text(plan->uid_map, sizeof(plan->uid_map)) &&
         is_text(plan->gid_map, sizeof(plan->gid_map)) &&
         is_text(plan->outer_uid_map, sizeof(plan->outer_uid_map)) &&
         is_text(plan->outer_gid_map, sizeof(plan->outer_gid_map)) &&
         is_text(plan->hostname, sizeof(plan->hostname)) && header->argument_count > 0;
}

/* Reads a whole plan, with no bytes left over. */
static bool read_plan(struct rest *rest, struct held_plan *plan) {
  struct header header;
  return take_header(rest, &header, plan) &&
         (plan->keep = take_numbers(rest, header.keep_count)) != NULL &&
         (plan->ignore = take_numbers(rest, header.ignore_count)) != NULL &&
         (plan->file = take_string(rest)) != NULL &&
         take_strings(rest, header.argument_count, &plan->argv) &&
         take_strings(rest, header.variable_count, &plan->env) &&
         take_strings(rest, header.hidden_count, &plan->hidden) &&
         take_strings(rest, header.newuidmap_count, &plan->newuidmap) &&
         take_strings(rest, header.newgidmap_count, &plan->newgidmap) &&
         take_files(rest, header.has_file, plan) &&
         (header.has_directory == 0 || (plan->directory = take_string(rest)) != NULL) && rest->length == 0;
}

/* The size of a sealed memfd, or a negative errno. */
static ssize_t sealed_size(int memfd) {
  struct stat status;
  int seals = fcntl(memfd, F_GET_SEALS);
  if (seals < 0 || fstat(memfd, &status) < 0) return -errno;
  if ((seals & SEALS) != SEALS) return -EINVAL;
  if (status.st_size > PLAN_MAX) return -E2BIG;
  return status.st_size;
}

int plan_read(int memfd, struct plan_copy *copy) {
  *copy = (struct plan_copy){.bytes = NULL};
  ssize_t size = sealed_size(memfd);
  if (size < 0) return (int)size;
  void *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
  if (bytes == MAP_FAILED) return -errno;
  *copy = (struct plan_copy){.bytes = bytes, .size = (size_t)size};
  struct rest rest = {.bytes = bytes, .length = (size_t)size};
  if (read_plan(&rest, &copy->plan)) return 0;
  plan_free(copy);
  return -EINVAL;
}

void plan_free(struct plan_copy *copy) {
  free(copy->plan.argv);
  free(copy->plan.env);
  free(copy->plan.hidden);
  free(copy->plan.newuidmap);
  free(copy->plan.newgidmap);
  if (copy->bytes != NULL) munmap(copy->bytes, copy->size);
  *copy = (struct plan_copy){.bytes = NULL};
}
