/*
 * Vectors and messages in registered memory.
 *
 * #syscalls node: writev sendmsg sendmmsg recvmmsg
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

/* Layout in registered memory: index.d.cts. */
struct wire_iov {
  uint32_t offset;
  uint32_t length;
};

struct wire_message {
  uint32_t name_offset;
  uint32_t name_length;
  uint32_t iov_offset;
  uint32_t iov_count;
  uint32_t control_offset;
  uint32_t control_length;
  uint32_t flags;
  uint32_t length;
};

/* 0, or a negative errno. Offsets may be unaligned: everything is copied. */
static int build_iovs(const struct memory *memory, uint32_t offset, uint32_t count,
                      struct iovec *iovs) {
  if (count > IOV_MAX_COUNT) return -EINVAL;
  if (!memory_contains(memory, offset, (uint64_t)count * sizeof(struct wire_iov))) return -EFAULT;
  for (uint32_t i = 0; i < count; i++) {
    struct wire_iov wire;
    memcpy(&wire, memory->base + offset + i * sizeof(wire), sizeof(wire));
    if (!memory_contains(memory, wire.offset, wire.length)) return -EFAULT;
    iovs[i] = (struct iovec){.iov_base = memory->base + wire.offset, .iov_len = wire.length};
  }
  return 0;
}

/* Arguments index.. are (mem, iovPtr, iovCount). The vectors are in the scratch. */
static struct msghdr call_iovs(struct call *call, size_t index) {
  struct iovec *iovs = call->instance->scratch.iovs;
  const struct memory *memory = call_memory(call, index);
  uint32_t offset = call_size(call, index + 1);
  uint32_t count = call_size(call, index + 2);
  int error = memory == NULL ? -EFAULT : build_iovs(memory, offset, count, iovs);
  if (error < 0) {
    call_fail(call, error);
    return (struct msghdr){0};
  }
  return (struct msghdr){.msg_iov = iovs, .msg_iovlen = count};
}

static napi_value write_vector(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 4);
  int fd = call_fd(&call, 0);
  struct msghdr vector = call_iovs(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(&call, writev(fd, vector.msg_iov, (int)vector.msg_iovlen));
}

static napi_value send_message(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 5);
  int fd = call_fd(&call, 0);
  struct msghdr message = call_iovs(&call, 1);
  int flags = call_int(&call, 4);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end_syscall(&call, sendmsg(fd, &message, flags | MSG_NOSIGNAL | MSG_DONTWAIT));
}

/* The array of messages of one call, and how many of them the scratch has been filled with. */
struct batch {
  const struct memory *memory;
  uint32_t offset;
  uint32_t count;
};

static uint8_t *wire_at(const struct batch *batch, uint32_t index) {
  return batch->memory->base + batch->offset + index * sizeof(struct wire_message);
}

/* A range that may be missing: length 0, whatever the offset. */
static int build_optional(const struct memory *memory, uint32_t offset, uint32_t length,
                          void **base) {
  *base = NULL;
  if (length == 0) return 0;
  if (!memory_contains(memory, offset, length)) return -EFAULT;
  *base = memory->base + offset;
  return 0;
}

static int build_message(const struct memory *memory, const struct wire_message *wire,
                         struct iovec *iovs, struct msghdr *message) {
  *message = (struct msghdr){
      .msg_namelen = wire->name_length,
      .msg_iov = iovs,
      .msg_iovlen = wire->iov_count,
      .msg_controllen = wire->control_length,
  };
  int error = build_optional(memory, wire->name_offset, wire->name_length, &message->msg_name);
  if (error == 0) {
    error = build_optional(memory, wire->control_offset, wire->control_length,
                           &message->msg_control);
  }
  return error == 0 ? build_iovs(memory, wire->iov_offset, wire->iov_count, iovs) : error;
}

/* Fills the scratch; messages beyond the pool of vectors stay for the next call. 0 or -errno. */
static int build_batch(struct batch *batch, struct scratch *scratch) {
  size_t used = 0;
  for (uint32_t i = 0; i < batch->count; i++) {
    struct wire_message wire;
    memcpy(&wire, wire_at(batch, i), sizeof(wire));
    if (wire.iov_count <= IOV_MAX_COUNT && used + wire.iov_count > IOV_POOL) {
      batch->count = i;
      return 0;
    }
    int error = build_message(batch->memory, &wire, scratch->iovs + used,
                              &scratch->messages[i].msg_hdr);
    if (error < 0) return error;
    used += wire.iov_count;
  }
  return 0;
}

/* Arguments index.. are (mem, msgs, count). */
static struct batch call_batch(struct call *call, size_t index) {
  struct batch batch = {
      .memory = call_memory(call, index),
      .offset = call_size(call, index + 1),
      .count = call_size(call, index + 2),
  };
  if (batch.count > MESSAGES_MAX) call_fail(call, -EINVAL);
  if (!call_ok(call)) return batch;
  uint64_t length = batch.count * sizeof(struct wire_message);
  bool inside = memory_contains(batch.memory, batch.offset, length);
  int error = inside ? build_batch(&batch, &call->instance->scratch) : -EFAULT;
  if (error < 0) call_fail(call, error);
  return batch;
}

static void write_back(const struct batch *batch, uint32_t index, const struct mmsghdr *done) {
  struct wire_message wire;
  memcpy(&wire, wire_at(batch, index), sizeof(wire));
  wire.name_length = done->msg_hdr.msg_namelen;
  wire.control_length = (uint32_t)done->msg_hdr.msg_controllen;
  wire.flags = (uint32_t)done->msg_hdr.msg_flags;
  wire.length = done->msg_len;
  memcpy(wire_at(batch, index), &wire, sizeof(wire));
}

static napi_value send_messages(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 5);
  int fd = call_fd(&call, 0);
  struct batch batch = call_batch(&call, 1);
  int flags = call_int(&call, 4);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct mmsghdr *messages = call.instance->scratch.messages;
  int sent = sendmmsg(fd, messages, batch.count, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
  for (int i = 0; i < sent; i++) write_back(&batch, (uint32_t)i, &messages[i]);
  return call_end_syscall(&call, sent);
}

static napi_value receive_messages(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 5);
  int fd = call_fd(&call, 0);
  struct batch batch = call_batch(&call, 1);
  int flags = call_int(&call, 4);
  if (!call_ok(&call)) return call_end(&call, 0);
  struct mmsghdr *messages = call.instance->scratch.messages;
  int received =
      recvmmsg(fd, messages, batch.count, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
  for (int i = 0; i < received; i++) write_back(&batch, (uint32_t)i, &messages[i]);
  return call_end_syscall(&call, received);
}

const struct method message_methods[] = {
    {"writev", write_vector},
    {"sendmsg", send_message},
    {"sendmmsg", send_messages},
    {"recvmmsg", receive_messages},
    {NULL, NULL},
};
