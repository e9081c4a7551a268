#include "idmap.h"

#include <string.h>

#include "process.h"

/*
 * A process that may not set groups in the parent namespace may map a group only after giving that up here
 * (user_namespaces(7)).
 */
enum step idmap_write(const char *uid_map, const char *gid_map) {
  if (process_write_file("/proc/self/setgroups", "deny") < 0) return STEP_SETGROUPS;
  if (process_write_file("/proc/self/gid_map", gid_map) < 0) return STEP_GID_MAP;
  if (process_write_file("/proc/self/uid_map", uid_map) < 0) return STEP_UID_MAP;
  return STEP_NONE;
}

/* Writes a file of /proc/PID. */
static int write_file_of(pid_t pid, const char *name, const char *text) {
  char digits[PROCESS_DIGITS_CAPACITY];
  char path[sizeof("/proc//uid_map") + PROCESS_DIGITS_CAPACITY] = "/proc/";
  strcat(path, process_digits(pid, digits));
  strcat(path, name);
  return process_write_file(path, text);
}

enum step idmap_write_of(pid_t pid, const char *uid_map, const char *gid_map) {
  if (write_file_of(pid, "/gid_map", gid_map) < 0) return STEP_GID_MAP;
  if (write_file_of(pid, "/uid_map", uid_map) < 0) return STEP_UID_MAP;
  return STEP_NONE;
}
