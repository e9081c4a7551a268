/* Text, and the end of a launcher that can't go on. */
#ifndef SLIPWAY_TEXT_H
#define SLIPWAY_TEXT_H

/* Prints a line to stderr, after the name of the program, and exits with 1. */
__attribute__((format(printf, 1, 2))) _Noreturn void text_fail(const char *format, ...);

/* printf(3) to memory that is never freed. */
__attribute__((format(printf, 1, 2))) char *text_format(const char *format, ...);

/* The name of a file without its directory. */
const char *text_name(const char *path);

#endif
