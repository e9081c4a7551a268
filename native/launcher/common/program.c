#include "program.h"

#include <stddef.h>
#include <string.h>

#include "text.h"

const char *program_name(char **argv) {
  static const char *const others[] = {"slirp4netns", "slipway-cni", "pasta", "passt", "pesto"};
  const char *name = text_name(argv[0]);
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    if (strcmp(name, others[i]) == 0) return others[i];
  }
  return "slipway";
}

bool program_is(char **argv, const char *name) {
  return strcmp(program_name(argv), name) == 0;
}
