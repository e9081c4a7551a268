/* What a held child is to be, and its form as bytes in a memfd, on the way to the broker. */
#ifndef TUNTAP2_PLAN_H
#define TUNTAP2_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* Files of /etc that the child has its own version of. */
enum held_file { HELD_RESOLV_CONF, HELD_HOSTS, HELD_HOSTNAME, HELD_FILE_COUNT };

enum { HELD_MAP_CAPACITY = 1024 };

/* Complete before the fork, as the child cannot allocate. */
struct held_plan {
  const char *file;
  char **argv; /* these two end with NULL */
  char **env;
  char uid_map[HELD_MAP_CAPACITY]; /* lines as in user_namespaces(7): of its user namespace */
  char gid_map[HELD_MAP_CAPACITY];
  char outer_uid_map[48]; /* and of the one around that, in which its ids are the caller's */
  char outer_gid_map[48];
  /*
   * Command lines of newuidmap(1) and newgidmap(1), which map the ids of the outer one instead if it is to have more
   * than the caller's. The first argument is replaced by the PID. These two may be NULL, or end with NULL.
   */
  char **newuidmap;
  char **newgidmap;
  char hostname[65]; /* "": the host's */
  bool own_pids;     /* whether it gets a PID namespace, if /proc can be mounted */
  /* A process whose namespaces it joins, CLONE_NEW* of setns(2); 0: it makes its own, as above. */
  int joined;
  int joined_namespaces;
  const char *joined_netns; /* or the file of a network namespace that it joins, with its owner; NULL: none */
  const char *files[HELD_FILE_COUNT]; /* their text; NULL: leave it */
  /* Lists that end with -1: descriptors that stay open over exec, signals that stay ignored. */
  int *keep;
  int *ignore;
  char **hidden; /* paths that are hidden from it; ends with NULL */
  const char *directory; /* in which it begins; NULL: that of its caller */
};

/* In bytes; execve(2) takes 6 MiB of arguments and variables (_STK_LIM of the kernel). */
enum { PLAN_MAX = 8 * 1024 * 1024 };

/* A plan that was read. It points into `bytes`, and lasts until plan_free. */
struct plan_copy {
  struct held_plan plan;
  void *bytes;
  size_t size;
};

/* Whether ids are mapped by newuidmap and newgidmap. */
bool plan_has_more_ids(const struct held_plan *plan);

/* Returns a descriptor of a sealed memfd, or a negative errno. */
int plan_write(const struct held_plan *plan);

/*
 * Reads what plan_write wrote. Returns 0 or a negative errno: EINVAL for a memfd that is not sealed, or malformed,
 * E2BIG for more than PLAN_MAX. On failure nothing is to be freed.
 */
int plan_read(int memfd, struct plan_copy *copy);

void plan_free(struct plan_copy *copy);

#endif
