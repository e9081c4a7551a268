#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/nsfs.h>

#include "../../src/confine/confine.h"
#include "../../src/os/idmap.h"

/* glibc's sys/mount.h declares what linux/mount.h declares. */
enum { PRIVATE_RECURSIVE = 1 << 18 | 1 << 14 }; /* MS_PRIVATE | MS_REC */

static int read_file(const char *path, char *text, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, capacity - 1);
  close(fd);
  text[length > 0 ? length : 0] = '\0';
  return length < 0 ? -1 : 0;
}

/*
 * Ubuntu (since 23.10) lets everybody make a user namespace, but AppArmor takes all rights in it from programs
 * without a profile: we could not get out of it again.
 */
static bool is_restricted_by_apparmor(void) {
  char text[64];
  if (read_file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", text, sizeof(text)) < 0) {
    return false;
  }
  if (text[0] != '1') return false;
  return read_file("/proc/self/attr/current", text, sizeof(text)) == 0 &&
         strncmp(text, "unconfined", strlen("unconfined")) == 0;
}

/* The files of /proc belong to root while this process is not dumpable. exec(2) follows soon. */
static int map_ids(uid_t uid, gid_t gid) {
  char uid_map[48];
  char gid_map[48];
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  snprintf(uid_map, sizeof(uid_map), "%u %u 1", uid, uid);
  snprintf(gid_map, sizeof(gid_map), "%u %u 1", gid, gid);
  return idmap_write(uid_map, gid_map) == STEP_NONE ? 0 : -1;
}

/* Whether CAP_NET_BIND_SERVICE in our user namespace is valid in our network namespace. */
static bool owns_network(void) {
  int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int owner = netns < 0 ? -1 : ioctl(netns, NS_GET_USERNS);
  if (netns >= 0) close(netns);
  if (owner >= 0) close(owner);
  return owner >= 0; /* EPERM: its owner is above our user namespace */
}

/* Until the lock-down Node opens files with root's rights, publishes low ports, and may become another user. */
static capabilities of_root(void) {
  static const int numbers[] = {CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                CAP_SETUID,    CAP_SETGID};
  capabilities all = owns_network() ? capability(CAP_NET_BIND_SERVICE) : 0;
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) all |= capability(numbers[i]);
  return all & confine_permitted();
}

/* Passes capabilities over exec by the ambient set: neither file capabilities nor setuid are needed. */
static const char *pass_on(capabilities passed) {
  /* A capability must be in the bounding set to become inheritable; emptying that set needs a capability. */
  if (confine_capabilities(confine_permitted(), passed) < 0) return "capabilities";
  confine_bounding_set();
  return confine_capabilities(passed, passed) < 0 ? "capabilities" : "own";
}

/* What differs between root, who has the right himself, and another user. */
struct way {
  bool is_root;
  unsigned long namespaces;
  uid_t uid; /* before a user namespace is made */
  gid_t gid;
};

static struct way choose_way(void) {
  bool is_root = (confine_permitted() & capability(CAP_SYS_ADMIN)) != 0;
  return (struct way){
      .is_root = is_root,
      .namespaces = is_root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS,
      .uid = geteuid(),
      .gid = getegid(),
  };
}

/* In the new namespaces. */
static const char *settle(const struct way *way) {
  if (way->is_root) {
    if (syscall(SYS_mount, NULL, "/", NULL, PRIVATE_RECURSIVE, NULL) < 0) return "mounts";
    return pass_on(of_root());
  }
  if (map_ids(way->uid, way->gid) < 0) {
    fprintf(stderr, "%s: can't map ids in a user namespace: %s; see slipway doctor\n",
            program_invocation_short_name, strerror(errno));
    exit(1);
  }
  return pass_on(capability(CAP_SYS_ADMIN));
}

/* Why there are no new namespaces, or NULL. */
static const char *obstacle(const struct way *way) {
  errno = EPERM;
  return !way->is_root && is_restricted_by_apparmor() ? "apparmor" : NULL;
}

/* A reason with its errno, "own" as it is. */
static const char *worded(const char *result) {
  static char word[48];
  if (strcmp(result, "own") == 0) return result;
  snprintf(word, sizeof(word), "%s %d", result, errno);
  return word;
}

static const char *refused(const struct way *way) {
  return way->is_root ? "mounts" : "userns";
}

const char *namespaces_prepare(void) {
  struct way way = choose_way();
  const char *reason = obstacle(&way);
  if (reason != NULL) return worded(reason);
  return worded(unshare((int)way.namespaces) < 0 ? refused(&way) : settle(&way));
}

/* The stack is a copy, as fork's is. */
pid_t namespaces_fork(const char **word) {
  struct way way = choose_way();
  const char *reason = obstacle(&way);
  if (reason == NULL) {
    unsigned long more = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    pid_t pid = (pid_t)syscall(SYS_clone, way.namespaces | more | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) *word = worded(settle(&way));
    if (pid >= 0) return pid;
    reason = refused(&way);
  }
  *word = worded(reason);
  return fork();
}
