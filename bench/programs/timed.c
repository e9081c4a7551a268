/*
 * timed COMMAND [ARG...]: runs COMMAND, whose output is its own, and prints the nanoseconds from just before fork() until
 * it has exited with status 0, as pasta's parent does when the network is up. What COMMAND leaves behind goes on. A
 * program of its own, behind nsenter: the time that nsenter takes does not count.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: timed COMMAND [ARG...]\n");
        return 2;
    }
    uint64_t began = now_ns();
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return 125;
    }
    if (pid == 0) {
        execvp(argv[1], argv + 1);
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        _exit(127);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno == EINTR) continue;
        perror("waitpid");
        return 125;
    }
    uint64_t elapsed = now_ns() - began;
    if (!WIFEXITED(status)) return 125;
    if (WEXITSTATUS(status) == 0) printf("%llu\n", (unsigned long long)elapsed);
    return WEXITSTATUS(status);
}
