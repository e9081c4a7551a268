#include "outside.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

struct outside outside_look(void) {
  uid_t own = geteuid();
  struct outside result = {.uid = own};
  FILE *map = fopen("/proc/self/uid_map", "re");
  if (map == NULL) return (struct outside){own, true};
  for (unsigned inside, outside, count; fscanf(map, "%u %u %u", &inside, &outside, &count) == 3;) {
    if (own - inside < count) result.uid = outside + (own - inside);
    if (inside == 0 && outside == 0 && count == UINT32_MAX) result.is_all = true;
  }
  fclose(map);
  return result;
}
