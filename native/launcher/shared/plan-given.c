/* Whether a plan is what the caller's command line says: plan.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/daemon-paths.h"
#include "flags.h"
#include "plan.h"

static const char *value_in(const char *argument, const char *option) {
  size_t length = strlen(option);
  return strncmp(argument, option, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                           : NULL;
}

/* Whether the next argument is this option's value, also when its letter is the last of several. */
static bool is_option(const char *argument, const char *option, char letter) {
  if (argument[0] != '-') return false;
  if (argument[1] == '-') return strcmp(argument, option) == 0;
  return argument[1] != '\0' && argument[strlen(argument) - 1] == letter;
}

/* `letter` is the short option; 0: there is none. */
static bool is_value(char **argv, const char *text, const char *option, char letter) {
  for (char **argument = argv + 1; *argument != NULL; argument++) {
    const char *value = value_in(*argument, option);
    if (value == NULL && is_option(*argument, option, letter)) value = argument[1];
    if (value != NULL && strcmp(value, text) == 0) return true;
  }
  return false;
}

/* -1: no descriptor. */
static bool is_given_fd(char **argv, int fd, const char *option, char letter) {
  char text[16];
  snprintf(text, sizeof(text), "%d", fd);
  return fd < 0 ? fd == -1 : is_value(argv, text, option, letter);
}

/* An argument that may be followed by a process, as it takes no value or brings it along. */
static bool is_flag(const char *argument) {
  static const char *const flags[] = {LONG_FLAGS, "--"};
  if (argument[0] != '-') return true;
  if (argument[1] != '-') return strspn(argument + 1, SHORT_FLAGS) == strlen(argument + 1);
  if (strchr(argument, '=') != NULL) return true; /* as podman's --netns-type=path: it has its value */
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
    if (strcmp(argument, flags[i]) == 0) return true;
  }
  return false;
}

static bool is_argument(char **argv, const char *text) {
  for (char **argument = argv + 1; *argument != NULL; argument++) {
    bool is_free = argument == argv + 1 || is_flag(argument[-1]);
    if (is_free && strcmp(*argument, text) == 0) return true;
  }
  return false;
}

/* The digits of /proc/PID/ns/net, or NULL for another path. */
static const char *pid_of(const char *netns) {
  static char digits[16];
  int length = 0;
  if (sscanf(netns, "/proc/%15[0-9]/ns/net%n", digits, &length) != 1 || length == 0) return NULL;
  return netns[length] == '\0' ? digits : NULL;
}

/* `digits` are those of its path. A process whose end ends the network is the one that the path names. */
static bool has_its_process(const struct target *target, const char *digits) {
  return target->pid < 0 || (digits != NULL && atoi(digits) == target->pid);
}

/* The target is given by a path with a slash, or by the process whose end ends the network. */
static bool is_given_target(char **argv, const struct target *target) {
  const char *digits = pid_of(target->netns);
  if (!has_its_process(target, digits)) return false;
  if (target->userns[0] != '\0' && !is_value(argv, target->userns, "--userns-path", '\0')) return false;
  if (digits != NULL && is_argument(argv, digits)) return true;
  return strchr(target->netns, '/') != NULL && is_argument(argv, target->netns);
}

static bool is_given_tap(char **argv, const char *name) {
  return name[0] == '\0' || strcmp(name, "tap0") == 0 || is_argument(argv, name) ||
         is_value(argv, name, "--ifname", '\0');
}

static bool is_socket_in(const char *path, const char *directory, int length) {
  char own[sizeof(((struct sockaddr_un *)0)->sun_path) + 16];
  snprintf(own, sizeof(own), "%.*s/%d.sock", length, directory, getpid());
  return strcmp(path, own) == 0;
}

/*
 * Without the option, `attach` names its socket by our pid. Its directory follows src/rpc/api-path.ts and the
 * daemon's environment: beside the daemon's socket, or the default without XDG_RUNTIME_DIR.
 */
static bool is_own_api(const char *path) {
  struct sockaddr_un address;
  char usual[40];
  if (!daemon_paths_launchers(&address)) return false;
  const char *end = strstr(address.sun_path, "/daemon/launchers.sock");
  if (end != NULL && is_socket_in(path, address.sun_path, (int)(end - address.sun_path))) return true;
  int length = geteuid() == 0 ? snprintf(usual, sizeof(usual), "/run/slipway")
                              : snprintf(usual, sizeof(usual), "/run/user/%u/slipway", geteuid());
  return is_socket_in(path, usual, length);
}

static bool is_given_api(char **argv, const char *path) {
  return path[0] == '\0' || is_value(argv, path, "--api-socket", 'a') || is_own_api(path);
}

bool plan_is_given(const struct plan *plan, char **argv) {
  return is_given_target(argv, &plan->target) && is_given_tap(argv, plan->target.tap) &&
         is_given_api(argv, plan->api_path) &&
         is_given_fd(argv, plan->ready_fd, "--ready-fd", 'r') &&
         is_given_fd(argv, plan->exit_fd, "--exit-fd", 'e');
}

/* ---- pasta ---------------------------------------------------------------------------------------- */

static bool is_same(const char *text, const char *given) {
  return given == NULL ? text[0] == '\0' : strcmp(text, given) == 0;
}

/* The namespace by a process, a path, or a name of ip-netns(8). */
static bool is_pastas_netns(const struct target *target, const struct pasta_options *options) {
  const char *digits = pid_of(target->netns);
  if (!has_its_process(target, digits)) return false;
  if (options->netns == NULL) return digits != NULL && is_same(digits, options->process);
  if (strcmp(target->netns, options->netns) == 0) return strchr(options->netns, '/') != NULL;
  static const char named[] = "/run/netns/";
  size_t length = strlen(named);
  return strncmp(target->netns, named, length) == 0 && strchr(options->netns, '/') == NULL &&
         strcmp(target->netns + length, options->netns) == 0;
}

/* A process stands for its user namespace, too. */
static bool is_pastas_userns(const struct target *target, const struct pasta_options *options) {
  char own[40];
  if (target->userns[0] == '\0' || options->userns != NULL || options->process == NULL) {
    return is_same(target->userns, options->userns);
  }
  snprintf(own, sizeof(own), "/proc/%.15s/ns/user", options->process);
  return strcmp(target->userns, own) == 0;
}

bool plan_is_pastas(const struct plan *plan, const struct pasta_options *options) {
  const struct target *target = &plan->target;
  return is_pastas_netns(target, options) && is_pastas_userns(target, options) &&
         (options->ifname == NULL ? target->tap[0] != '\0' : is_same(target->tap, options->ifname)) &&
         is_same(plan->api_path, options->control) && plan->ready_fd == SHARED_NONE &&
         plan->exit_fd == SHARED_NONE;
}
