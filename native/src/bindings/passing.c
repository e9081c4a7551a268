/*
 * UNIX sockets that carry descriptors, the identity of their peers, and a lock that one process holds. Off the hot
 * path: bytes are in plain arrays.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../os/netns.h"
#include "../os/process.h"

/* asm-generic/socket.h, Linux 6.5: libc's headers may be older. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static napi_value send_passing(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  int socket = call_fd(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  int passed = call_is_null(&call, 2) ? -1 : call_fd(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(
      &call, process_send_fd(socket, bytes.base, bytes.length, MSG_DONTWAIT, passed));
}

/* Whoever made the descriptor may have left it blocking. */
static int issue_received(struct handles *handles, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return handles_issue(handles, fd, HANDLE_PLAIN);
}

static napi_value receive_passed(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int socket = call_fd(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  int passed;
  ssize_t length = process_recv_fd(socket, bytes.base, bytes.length, MSG_DONTWAIT, &passed);
  if (length < 0) return call_end(&call, -errno);
  if (passed >= 0) passed = issue_received(&call.instance->handles, passed);
  napi_value object = NULL;
  napi_create_object(env, &object);
  call_set_number(&call, object, "length", (int)length);
  call_set_number(&call, object, "passed", passed);
  return call_end_value(&call, object);
}

static napi_value peer_uid(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int socket = call_fd(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct ucred peer;
  socklen_t length = sizeof(peer);
  int result = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  return call_end(&call, result < 0 ? -errno : (ssize_t)peer.uid);
}

/*
 * Of a socket that accept(2) gave, the namespace is that in which its client made its own: the kernel
 * makes it at connect(2), in the client's (net/unix/af_unix.c, unix_stream_connect).
 */
static napi_value network_cookie(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int socket = call_fd(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  uint64_t cookie;
  if (netns_cookie(socket, &cookie) < 0) return call_end(&call, -errno);
  napi_value value = NULL;
  napi_create_bigint_uint64(env, cookie, &value);
  return call_end_value(&call, value);
}

/*
 * Before Linux 6.5 the process is opened by its number, which may be another's by then: if the peer has
 * ended since it connected.
 *
 * #syscalls daemon: getsockopt(1=SOL_SOCKET;2=77)
 */
static int open_peer(int socket) {
  int pidfd;
  socklen_t length = sizeof(pidfd);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0) return pidfd;
  if (errno != ENOPROTOOPT) return -1;
  struct ucred peer;
  length = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -1;
  return process_open(peer.pid);
}

static napi_value peer_pidfd(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int socket = call_fd(&call, 0);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, handles_issue(&call.instance->handles, open_peer(socket), HANDLE_PIDFD));
}

static int lock(int fd) {
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static napi_value lock_file(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  char path[PATH_MAX];
  call_string(&call, 0, path, sizeof(path));
  if (!call_ok(&call)) return call_end(&call, 0);
  int fd = lock(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return call_end(&call, handles_issue(&call.instance->handles, fd, HANDLE_PLAIN));
}

const struct method passing_methods[] = {
    {"sendPassing", send_passing},
    {"receivePassed", receive_passed},
    {"peerUid", peer_uid},
    {"networkCookie", network_cookie},
    {"peerPidfd", peer_pidfd},
    {"lockFile", lock_file},
    {NULL, NULL},
};
