#include "user.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../confine/confine.h"

/* The C library changes all threads. */
static int change(uid_t uid, gid_t gid) {
  if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0) return -errno;
  return setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

int user_become(uid_t uid, gid_t gid) {
  int death_signal = 0;
  pid_t parent = getppid();
  prctl(PR_GET_PDEATHSIG, &death_signal);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -errno;
  int error = change(uid, gid);
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (error < 0) return error;
  if (confine_capabilities(confine_permitted(), 0) < 0) return -errno;
  /* Cleared by another user. */
  if (death_signal == 0) return 0;
  if (prctl(PR_SET_PDEATHSIG, death_signal) < 0) return -errno;
  if (getppid() != parent) raise(death_signal);
  return 0;
}
