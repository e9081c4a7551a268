/* Who we are outside of our user namespace. */
#ifndef SLIPWAY_OUTSIDE_H
#define SLIPWAY_OUTSIDE_H

#include <stdbool.h>
#include <sys/types.h>

/* Container engines start us as root of theirs. */
struct outside {
  uid_t uid;
  bool is_all; /* there is no outside: every user has a number here */
};

struct outside outside_look(void);

#endif
