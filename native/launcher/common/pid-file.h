/* The file that holds the number of a process. */
#ifndef SLIPWAY_PID_FILE_H
#define SLIPWAY_PID_FILE_H

#include <sys/types.h>

/*
 * Makes the file, or opens it with what it has, readable by its owner only. Returns a descriptor, or a negative errno: ELOOP for a link, EPERM
 * for what is another user's, is no file, or lies where others could replace it.
 */
int pid_file_open(const char *path);

/* Writes the number and a newline. -1 with errno. */
int pid_file_write(int fd, pid_t pid);

#endif
