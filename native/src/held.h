/*
 * A child that is held before exec. Its protocol with the addon (spawn.c), over SOCK_SEQPACKET:
 * the child sends one report when its namespaces are ready, or why not; the addon sends one byte to
 * release it, or ends the socket; the child sends a report again if exec fails. exec that succeeds
 * closes the socket.
 */
#ifndef TUNTAP2_HELD_H
#define TUNTAP2_HELD_H

#include <stddef.h>
#include <stdint.h>

enum { HELD_EXIT_STATUS = 127 };

struct held_report {
  int32_t error; /* negative errno, or 0 */
  uint32_t step; /* enum step */
};

/* Files of /etc that the child has for itself. */
enum held_file { HELD_RESOLV_CONF, HELD_HOSTS, HELD_HOSTNAME, HELD_FILE_COUNT };

/* Made before the fork: the child can't allocate. */
struct held_plan {
  const char *file;
  char **argv; /* these two end with NULL */
  char **env;
  char uid_map[48]; /* lines as in user_namespaces(7) */
  char gid_map[48];
  char hostname[65]; /* "": the host's, and no UTS namespace */
  const char *files[HELD_FILE_COUNT]; /* their text; NULL: leave it */
  /* Lists that end with -1: descriptors that stay open over exec, and signals that stay ignored. */
  int *keep;
  int *ignore;
};

/* For a forked child that has nothing open which `plan` does not name, but for `socket`. */
_Noreturn void held_run(const struct held_plan *plan, int socket);

#endif
