/*
 * Shared mode: the user's daemon serves the namespace, and no Node is started. This process does what the daemon may
 * not: it enters the namespaces, opens the TAP and binds the API's socket, sends both by SCM_RIGHTS, and stays as the
 * pid that the caller knows (serve.c). Commands that only ask the daemon go the same way (ask.c): a Node that does
 * nothing else takes longer to start than all the rest.
 *
 * The daemon parses the command line, as there is one parser of it. When it does not serve such a network, when the
 * command line is wrong, or when anything fails here, a process is started as without shared mode: it does the work
 * or says what is wrong.
 */
#ifndef SLIPWAY_SHARED_H
#define SLIPWAY_SHARED_H

#include <stdbool.h>

#include "../pasta/options.h"

/* Whether the caller asks for it, by --shared or SLIPWAY_SHARED=1, for a command that can have it. */
bool shared_is_wanted(char **argv);
bool shared_is_wanted_of_pasta(enum pasta_kind kind);

/*
 * Does not return while the daemon serves: ends this process when the network ends. Returns false when there is no daemon
 * that would, and nothing was done then; true when the daemon has died: then SLIPWAY_TAKEN has the descriptors of the
 * TAP, of the API's socket and of what was KEPT, each -1 where there is none, and the process that is started goes on
 * with them.
 */
bool shared_serve(char **argv);

/* The same for pasta. `parent` is what background_enter() returned; -1: it stays in the foreground. */
bool shared_serve_pasta(char **argv, const struct pasta_options *options, int parent);

/*
 * Prints the daemon's answer to a command that asks it, and exits. Returns when the daemon does not answer;
 * nothing was done then.
 */
void shared_ask(char **argv);

#endif
