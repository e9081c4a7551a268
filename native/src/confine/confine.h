/* What a thread or a process gives up for good. All of it is async-signal-safe. */
#ifndef TUNTAP2_CONFINE_H
#define TUNTAP2_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A set of capabilities, by bit as in the kernel: 1 << CAP_... */
typedef uint64_t capabilities;

static inline capabilities capability(int number) {
  return UINT64_C(1) << number;
}

/* The permitted set of the calling thread. */
capabilities confine_permitted(void);

/* Makes the calling thread's permitted and effective set `kept`, the inheritable and the ambient one
 * `inherited`, which `kept` must have. Returns 0 or -1 with errno. */
int confine_capabilities(capabilities kept, capabilities inherited);

/* Empties the bounding set of the calling thread; needs CAP_SETPCAP. */
void confine_bounding_set(void);

/*
 * A Landlock ruleset that denies all access to files by path, and abstract UNIX sockets of others
 * where the kernel can (6.12). Returns a descriptor, or -1 with errno: ENOSYS, EOPNOTSUPP where there
 * is no Landlock.
 */
int confine_ruleset(void);

enum confine_right {
  CONFINE_READ_FILE,
  CONFINE_REMOVE_FILE,
  CONFINE_KEEP_FILES, /* make, read, write, rename and remove plain files */
};

/* Allows one thing below a directory. Returns 0 or -1 with errno. */
int confine_allow(int ruleset, int directory, enum confine_right right);

/*
 * Processes with our uid can no longer look into this process, trace it or dump its core, except those with
 * CAP_SYS_PTRACE over the user namespace in which it was executed: /proc/PID/mem and the like belong to that
 * namespace's root (proc_pid(5)). exec(2) undoes this, and a change of credentials may: call it again after each
 * setns(2).
 */
void confine_memory(void);

/* no_new_privs and, unless -1, the ruleset for the calling thread. Returns 0 or -1 with errno. */
int confine_thread(int ruleset);

#endif
