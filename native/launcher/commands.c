#include "commands.h"

#include <stddef.h>
#include <string.h>

#include "common/program.h"

static bool is_among(const char *word, const char *const words[]) {
  for (size_t i = 0; words[i] != NULL; i++) {
    if (strcmp(word, words[i]) == 0) return true;
  }
  return false;
}

bool command_is_about_itself(char **argv) {
  static const char *const options[] = {"--help", "-h", "--version", "-v", NULL};
  static const char *const commands[] = {"doctor", "port", "status", "flows", "help", NULL};
  if (program_is(argv, "pesto")) return true;
  if (argv[1] == NULL || is_among(argv[1], options)) return true;
  return program_is(argv, "slipway") && is_among(argv[1], commands);
}

bool command_asks_daemon(char **argv) {
  static const char *const words[] = {"network", "host", "ps", "inspect", "daemon", "oci-hook", NULL};
  if (argv[1] == NULL || !program_is(argv, "slipway")) return false;
  return is_among(argv[1], words);
}

bool command_is_question(char **argv) {
  static const char *const words[] = {"network", "ps", "inspect", NULL};
  return command_asks_daemon(argv) && is_among(argv[1], words);
}

/* The value of --network or --net, if that is the argument; otherwise NULL. */
static const char *network_of(char **argument) {
  static const char *const options[] = {"--network", "--net"};
  for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
    size_t length = strlen(options[i]);
    if (strncmp(*argument, options[i], length) != 0) continue;
    if ((*argument)[length] == '=') return *argument + length + 1;
    if ((*argument)[length] == '\0') return argument[1];
  }
  return NULL;
}

bool command_runs_on_network(char **argv) {
  if (!program_is(argv, "slipway") || argv[1] == NULL || strcmp(argv[1], "run") != 0) return false;
  for (char **argument = argv + 2; *argument != NULL; argument++) {
    if (strcmp(*argument, "--") == 0) return false; /* COMMAND follows */
    const char *network = network_of(argument);
    if (network != NULL && strcmp(network, "slirp") != 0) return true;
  }
  return false;
}

bool command_is_daemon(char **argv) {
  return command_asks_daemon(argv) && strcmp(argv[1], "daemon") == 0 && argv[2] != NULL &&
         strcmp(argv[2], "run") == 0 && (argv[3] == NULL || strcmp(argv[3], "--help") != 0);
}
