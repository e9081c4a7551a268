#include "printable.h"

#include <stdbool.h>

/* The length of the UTF-8 sequence that begins with this byte (RFC 3629, section 4); 0: none does. */
static size_t sequence_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

static bool is_printable(const unsigned char *bytes, size_t length) {
  if (length == 1) return (bytes[0] >= ' ' && bytes[0] != 0x7f) || bytes[0] == '\n' || bytes[0] == '\t';
  for (size_t i = 1; i < length; i++) {
    if ((bytes[i] & 0xc0) != 0x80) return false;
  }
  return bytes[0] != 0xc2 || bytes[1] >= 0xa0;
}

void printable_make(char *text, size_t length) {
  unsigned char *bytes = (unsigned char *)text;
  for (size_t at = 0; at < length;) {
    size_t size = sequence_length(bytes[at]);
    if (size > 0 && size <= length - at && is_printable(bytes + at, size)) {
      at += size;
    } else {
      bytes[at++] = '?';
    }
  }
}
