/*
 * Maps ids of a user namespace from its parent namespace, as user_namespaces(7) demands for more than one id.
 */
#ifndef TUNTAP2_MAPPER_H
#define TUNTAP2_MAPPER_H

#include <sys/types.h>

#include "../os/step.h"
#include "plan.h"

/* Maps the ids of the user namespace that `target` is in. Returns the step that failed, with errno. */
typedef enum step mapper_job(const struct held_plan *plan, pid_t target);

/* By newuidmap(1) and newgidmap(1), which check them against /etc/subuid and /etc/subgid: the outer namespace. */
mapper_job mapper_run_programs;

/* By its maps, which a process of the parent namespace writes: the inner namespace. */
mapper_job mapper_write_maps;

/* A child that stays in the user namespace that its parent leaves. It ends with its parent. */
struct mapper {
  pid_t pid;
  int socket;
};

/* Forks it, before unshare(2). Returns 0, or -1 with errno. */
int mapper_start(const struct held_plan *plan, mapper_job *job, struct mapper *mapper);

/* Has it map the ids of this process's user namespace, after unshare(2), and waits for its end. */
enum step mapper_finish(const struct mapper *mapper);

#endif
