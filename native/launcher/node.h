/* The Node that this process becomes, and its bundle. */
#ifndef SLIPWAY_NODE_H
#define SLIPWAY_NODE_H

/*
 * The directory of the installation, which has bin/slipway: found by way of /proc, as argv[0] may be a link or
 * wrong. These functions end the process when what they look for is missing.
 */
const char *node_root(void);

/*
 * SLIPWAY_NODE, or the Node installed with us, or the first in PATH that is new enough. Only absolute directories
 * of PATH count: what runs must not depend on the working directory.
 */
const char *node_find(const char *root);

const char *node_bundle(const char *root);

/* Ends the process where it may have so few descriptors that Node aborts at its start. */
void node_check_descriptors(void);

/* node FLAGS BUNDLE NAME ARGUMENTS. NAME is that of the program (common/program.h). */
char **node_arguments(const char *node, const char *bundle, int argc, char **argv);

#endif
