/* The Node that this process becomes, and its bundle. */
#ifndef SLIPWAY_NODE_H
#define SLIPWAY_NODE_H

/*
 * The installation: the directory that has bin/slipway, by way of /proc, as argv[0] may be a link, or a lie. All of these
 * end the process when what they look for is missing.
 */
const char *node_root(void);

/*
 * SLIPWAY_NODE, the one that is installed with us, or the first of PATH that is new enough: only absolute directories of
 * it count, as what runs must not depend on where the user is.
 */
const char *node_find(const char *root);

const char *node_bundle(const char *root);

/* node FLAGS bundle NAME ARGUMENTS, where NAME is what the user called. */
char **node_arguments(const char *node, const char *bundle, int argc, char **argv);

#endif
