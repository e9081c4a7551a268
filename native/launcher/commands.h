/* What a command line asks for, as far as it must be known before Node runs: the first words of it. */
#ifndef SLIPWAY_COMMANDS_H
#define SLIPWAY_COMMANDS_H

#include <stdbool.h>

/* Makes no network: it needs nobody's help, and doctor shows the machine as it is. */
bool command_is_about_itself(char **argv);

/* Speaks to the daemon, which lives in the user's own namespaces and is started from them. */
bool command_asks_daemon(char **argv);

/* Needs no process of Node if the daemon runs. */
bool command_is_question(char **argv);

/* `run` with another network than slirp. */
bool command_runs_on_network(char **argv);

/* `daemon run`. */
bool command_is_daemon(char **argv);

#endif
