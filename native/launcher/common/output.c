#include "output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

/* The caller may have set O_NONBLOCK. */
static void wait_for_room(void) {
  struct pollfd waiting = {.fd = STDOUT_FILENO, .events = POLLOUT};
  poll(&waiting, 1, -1);
}

/* In the words of src/base/stdio.ts. */
void output_write(const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, text, length);
    if (written >= 0) {
      text += written;
      length -= (size_t)written;
    } else if (errno == EAGAIN) {
      wait_for_room();
    } else if (errno != EINTR) {
      text_fail("cannot write the output: %s", strerror(errno));
    }
  }
}
