#include "guess.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(const char *text) {
  return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

bool guess_target(struct target *guessed, const char *name, char **argv) {
  size_t count = 0;
  bool is_path = false;
  for (char **argument = argv; *argument != NULL; argument++, count++) {
    if (strncmp(*argument, "--target-type", strlen("--target-type")) == 0) return false;
    if (strncmp(*argument, "--userns-path", strlen("--userns-path")) == 0) return false;
    if (strncmp(*argument, "--netns-type", strlen("--netns-type")) != 0) continue;
    if (strcmp(*argument, "--netns-type=path") != 0) return false;
    is_path = true;
  }
  static char netns[PATH_MAX];
  if (count < 3 || strcmp(name, "slirp4netns") != 0) return false;
  const char *target = argv[count - 2];
  const char *tap = argv[count - 1];
  if (target[0] == '-' || tap[0] == '-' || (!is_path && !is_number(target))) return false;
  snprintf(netns, sizeof(netns), is_path ? "%s" : "/proc/%s/ns/net", target);
  *guessed = (struct target){netns, "", tap, is_path ? -1 : atoi(target)};
  return true;
}

bool guess_was_right(const struct target *guessed, const struct target *target) {
  return strcmp(guessed->netns, target->netns) == 0 && strcmp(guessed->userns, target->userns) == 0 &&
         strcmp(guessed->tap, target->tap) == 0 && guessed->pid == target->pid;
}
