#include "rename.h"

#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

/* The arguments lie in memory one after the other (proc_pid_cmdline(5)). */
void rename_process(char **argv, const char *name) {
  prctl(PR_SET_NAME, name);
  char *start = argv[0];
  char *end = start;
  for (char **argument = argv; *argument != NULL && *argument == end; argument++) {
    end += strlen(*argument) + 1;
  }
  size_t size = (size_t)(end - start);
  if (size == 0) return;
  memset(start, 0, size);
  strncpy(start, name, size - 1);
}
