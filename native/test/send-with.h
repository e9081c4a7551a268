/* For programs that send what no honest peer sends. */
#ifndef SEND_WITH_H
#define SEND_WITH_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { SEND_FDS_MAX = 253 /* SCM_MAX_FD of the kernel */ };

/* sendmsg(2) with `count` descriptors along. Without SIGPIPE. */
static inline ssize_t send_with(int socket, const void *bytes, size_t length, const int *fds,
                                size_t count, int flags) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))] = {0};
  struct iovec iov = {.iov_base = (void *)bytes, .iov_len = length};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(part), fds, count * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | flags);
}

#endif
