/* `pesto`: asks a running pasta. */
#ifndef SLIPWAY_PESTO_H
#define SLIPWAY_PESTO_H

/*
 * Prints pasta's answer to the command line, and exits with its status. Returns when nobody answers at the path; nothing
 * was done then.
 */
void pesto_ask(int argc, char **argv);

#endif
