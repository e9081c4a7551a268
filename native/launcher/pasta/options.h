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

/* Texts of the command line; NULL where it has none. */
struct pasta_options {
  enum pasta_kind kind;
  const char *netns; /* a path, or a name */
  const char *userns;
  const char *process; /* digits: the argument */
  const char *ifname;
  const char *control; /* path of the socket for pesto */
  const char *pid_file;
  bool stays; /* also when the file of the namespace is gone */
};

/* Reads as getopt_long(3) does; an option's last value counts. What is wrong with the command line Node says. */
struct pasta_options pasta_read(int argc, char **argv, bool is_passt);

#endif
