/* What must be known of a command line of pasta or passt before Node runs. */
#ifndef SLIPWAY_PASTA_OPTIONS_H
#define SLIPWAY_PASTA_OPTIONS_H

#include <stdbool.h>

enum pasta_kind {
  PASTA_ABOUT_ITSELF, /* help or version */
  PASTA_COMMAND,      /* stays in the foreground, and its child is a command or a shell */
  PASTA_FOREGROUND,
  PASTA_BACKGROUND,
};

/* Reads as getopt_long(3) does. What is wrong with the command line Node says. */
enum pasta_kind pasta_kind_of(int argc, char **argv, bool is_passt);

#endif
