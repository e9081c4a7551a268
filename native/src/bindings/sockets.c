/*
 * Sockets, one system call a function.
 *
 * #syscalls node: connect bind listen accept4 getsockname getpeername recvfrom shutdown
 * #syscalls node: getsockopt(1=SOL_SOCKET;2=SO_ERROR)
 */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

static napi_value issue_plain(struct call *call, int fd) {
  return call_end(call, handles_issue(&call->instance->handles, fd, HANDLE_PLAIN));
}

/*
 * TCP, UDP and ping. Neither raw sockets, nor those of other families: an AF_UNIX one could reach
 * services of the host by their abstract names, a netlink one the kernel's rarer code.
 *
 * #syscalls node: socket(0=AF_INET;1&SOCK_TYPE=SOCK_STREAM;2=0)
 * #syscalls node: socket(0=AF_INET6;1&SOCK_TYPE=SOCK_STREAM;2=0)
 * #syscalls node: socket(0=AF_INET;1&SOCK_TYPE=SOCK_DGRAM;2=0)
 * #syscalls node: socket(0=AF_INET6;1&SOCK_TYPE=SOCK_DGRAM;2=0)
 * #syscalls node: socket(0=AF_INET;1&SOCK_TYPE=SOCK_DGRAM;2=IPPROTO_ICMP)
 * #syscalls node: socket(0=AF_INET6;1&SOCK_TYPE=SOCK_DGRAM;2=IPPROTO_ICMPV6)
 */
static napi_value make_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  int domain = call_int(&call, 0);
  int type = call_int(&call, 1);
  int protocol = call_int(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  return issue_plain(&call, socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

/*
 * The numbers of both ends are written as two u32. A stream socket that is connected stays so: no
 * service of the host is reached by it.
 *
 * #syscalls node: socketpair(0=AF_UNIX;1&SOCK_TYPE=SOCK_STREAM)
 */
static napi_value make_socket_pair(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct range numbers = call_range(&call, 0);
  int pair[2];
  if (!call_ok(&call)) return call_end(&call, 0);
  if (numbers.length < sizeof pair) return call_end(&call, -EFAULT);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
    return call_end(&call, -errno);
  struct handles *handles = &call.instance->handles;
  int first = handles_issue(handles, pair[0], HANDLE_PLAIN);
  int second = handles_issue(handles, pair[1], HANDLE_PLAIN);
  if (first >= 0 && second >= 0) {
    memcpy(numbers.base, pair, sizeof pair);
    return call_end(&call, 0);
  }
  /* What could not be issued has been closed. */
  int issued = first >= 0 ? first : second;
  if (issued >= 0) {
    handles_forget(handles, issued);
    close(issued);
  }
  return call_end(&call, -ENOMEM);
}

static napi_value connect_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range name = call_range(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(
      &call, connect(fd, (const struct sockaddr *)name.base, (socklen_t)name.length));
}

static napi_value bind_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range name = call_range(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(
      &call, bind(fd, (const struct sockaddr *)name.base, (socklen_t)name.length));
}

static napi_value listen_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  int backlog = call_int(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? listen(fd, backlog) : 0);
}

static napi_value accept_socket(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range name = call_range(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  socklen_t length = (socklen_t)name.length;
  return issue_plain(&call, accept4(fd, (struct sockaddr *)name.base, &length,
                                    SOCK_NONBLOCK | SOCK_CLOEXEC));
}

typedef int name_syscall(int fd, struct sockaddr *name, socklen_t *length);

static napi_value get_name(napi_env env, napi_callback_info info, name_syscall *get) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct range name = call_range(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  socklen_t length = (socklen_t)name.length;
  int result = get(fd, (struct sockaddr *)name.base, &length);
  return call_end_syscall(&call, result < 0 ? result : (ssize_t)length);
}

/* glibc declares the pointer as a transparent union under _GNU_SOURCE: no plain function type. */
static int own_name(int fd, struct sockaddr *name, socklen_t *length) {
  return getsockname(fd, name, length);
}

static int peer_name(int fd, struct sockaddr *name, socklen_t *length) {
  return getpeername(fd, name, length);
}

static napi_value get_socket_name(napi_env env, napi_callback_info info) {
  return get_name(env, info, own_name);
}

static napi_value get_peer_name(napi_env env, napi_callback_info info) {
  return get_name(env, info, peer_name);
}

static napi_value set_option(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  int level = call_int(&call, 1);
  int name = call_int(&call, 2);
  int value = call_int(&call, 3);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(&call, setsockopt(fd, level, name, &value, sizeof(value)));
}

static napi_value bind_to_device(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  struct range name = call_bytes(&call, 1);
  if (name.length == 0 || name.length >= IFNAMSIZ) call_fail(&call, -ENODEV);
  if (!call_ok(&call)) return call_end(&call, 0);
  socklen_t length = (socklen_t)name.length;
  return call_end_syscall(&call, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.base, length));
}

static napi_value get_option(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  int fd = call_fd(&call, 0);
  int level = call_int(&call, 1);
  int name = call_int(&call, 2);
  if (!call_ok(&call)) return call_end(&call, 0);
  int value = 0;
  socklen_t length = sizeof(value);
  int result = getsockopt(fd, level, name, &value, &length);
  return call_end(&call, result < 0 ? -errno : value);
}

/* For options whose value is a struct. */
static napi_value get_option_bytes(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  int level = call_int(&call, 1);
  int name = call_int(&call, 2);
  struct range value = call_bytes(&call, 3);
  if (!call_ok(&call)) return call_end(&call, 0);
  socklen_t length = (socklen_t)value.length;
  int result = getsockopt(fd, level, name, value.base, &length);
  return call_end_syscall(&call, result < 0 ? result : (ssize_t)length);
}

static napi_value receive_range(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 5);
  int fd = call_fd(&call, 0);
  struct range range = call_range(&call, 1);
  int flags = call_int(&call, 4);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(&call, recv(fd, range.base, range.length, flags | MSG_DONTWAIT));
}

static napi_value shut_down(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int fd = call_fd(&call, 0);
  int how = call_int(&call, 1);
  return call_end_syscall(&call, call_ok(&call) ? shutdown(fd, how) : 0);
}

const struct method socket_methods[] = {
    {"socket", make_socket},
    {"connect", connect_socket},
    {"bind", bind_socket},
    {"listen", listen_socket},
    {"socketPair", make_socket_pair},
    {"accept", accept_socket},
    {"getsockname", get_socket_name},
    {"getpeername", get_peer_name},
    {"setsockopt", set_option},
    {"bindToDevice", bind_to_device},
    {"getsockopt", get_option},
    {"getsockoptBytes", get_option_bytes},
    {"recv", receive_range},
    {"shutdown", shut_down},
    {NULL, NULL},
};
