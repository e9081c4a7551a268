/*
 * A child that is held before exec. Its protocol with the addon (spawn.c), over SOCK_SEQPACKET:
 * the child sends one report when its namespaces are ready, or why not; the addon sends one byte to
 * release it, or ends the socket; the child sends a report again if exec fails. exec that succeeds
 * closes the socket.
 *
 * With a PID namespace of its own the child leaves the rest to another child of the same parent, which its
 * report names, and ends.
 */
#ifndef TUNTAP2_HELD_H
#define TUNTAP2_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../os/step.h"

enum { HELD_EXIT_STATUS = 127 };

struct held_report {
  int32_t error; /* negative errno, or 0 */
  uint32_t step; /* enum step */
  /* Pids of further children of the same parent; 0: there is none. */
  int32_t command;      /* goes on in the place of this one, which ends */
  int32_t reaper;       /* of the PID namespace; has ended if there was an error */
  int32_t reaper_error; /* why there is no PID namespace (negative errno), or 0 */
};

/* Files of /etc that the child has for itself. */
enum held_file { HELD_RESOLV_CONF, HELD_HOSTS, HELD_HOSTNAME, HELD_FILE_COUNT };

/* Made before the fork: the child can't allocate. */
struct held_plan {
  const char *file;
  char **argv; /* these two end with NULL */
  char **env;
  char uid_map[48]; /* lines as in user_namespaces(7): of its user namespace */
  char gid_map[48];
  char outer_uid_map[48]; /* and of the one around that, in which its ids are the caller's */
  char outer_gid_map[48];
  char hostname[65]; /* "": as the host's is now */
  bool own_pids;     /* whether it has a PID namespace, where /proc can be mounted */
  /* A process of which it enters namespaces, CLONE_NEW* of setns(2); 0: it makes its own, as above. */
  int joined;
  int joined_namespaces;
  const char *files[HELD_FILE_COUNT]; /* their text; NULL: leave it */
  /* Lists that end with -1: descriptors that stay open over exec, and signals that stay ignored. */
  int *keep;
  int *ignore;
  char **hidden; /* paths that it does not see; ends with NULL */
};

/* For a forked child that has nothing open which `plan` does not name, but for `socket`. */
_Noreturn void held_run(const struct held_plan *plan, int socket);

#endif
