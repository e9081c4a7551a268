/* Prints the kind of a command line, for pasta-options.test.ts. */
#include <stdio.h>
#include <string.h>

#include "../launcher/pasta/options.h"

int main(int argc, char **argv) {
  static const char *const words[] = {"about itself", "command", "foreground", "background"};
  puts(words[pasta_read(argc - 1, argv + 1, strcmp(argv[1], "passt") == 0).kind]);
  return 0;
}
