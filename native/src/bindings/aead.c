/* Messages in registered memory that are sealed and opened, many in one call; and a keyed hash. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../crypto/mac.h"

enum {
  PADDING_MAX = 15,
  LENGTH_MAX = 65535, /* of a message with its tag: no datagram has more */
};

/* Layout in registered memory: index.d.cts. */
struct wire_piece {
  uint32_t offset;
  uint32_t length;
};

struct wire_record {
  uint32_t key;
  uint32_t counter_low;
  uint32_t counter_high;
  uint32_t input;       /* of its pieces, or of the bytes to open */
  uint32_t input_count; /* likewise: pieces, or bytes */
  uint32_t padding;
  uint32_t output;
  int32_t result;
};

static napi_value add_key(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct range key = call_bytes(&call, 0);
  if (key.length != AEAD_KEY_LENGTH) call_fail(&call, -EINVAL);
  return call_end(&call, call_ok(&call) ? aead_keys_add(&call.instance->keys, key.base) : 0);
}

static napi_value forget_key(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  uint32_t number = call_size(&call, 0);
  return call_end(&call, call_ok(&call) ? aead_keys_forget(&call.instance->keys, number) : 0);
}

/* The records of one call. Each is checked, and copied to the scratch, before the first is worked on. */
struct records {
  const struct memory *memory;
  uint32_t offset;
  uint32_t count;
};

/* Arguments 0.. are (mem, table, count). */
static struct records call_records(struct call *call) {
  struct records records = {
      .memory = call_memory(call, 0),
      .offset = call_size(call, 1),
      .count = call_size(call, 2),
  };
  if (records.count > MESSAGES_MAX) call_fail(call, -EINVAL);
  if (!call_ok(call)) return records;
  uint64_t length = records.count * sizeof(struct wire_record);
  if (!memory_contains(records.memory, records.offset, length)) call_fail(call, -EFAULT);
  return records;
}

static uint8_t *record_at(const struct records *records, uint32_t index) {
  return records->memory->base + records->offset + index * sizeof(struct wire_record);
}

static struct wire_record read_record(const struct records *records, uint32_t index) {
  struct wire_record record;
  memcpy(&record, record_at(records, index), sizeof(record));
  return record;
}

static void write_result(const struct records *records, uint32_t index, int32_t result) {
  memcpy(record_at(records, index) + offsetof(struct wire_record, result), &result, sizeof(result));
}

/* What both directions have. 0, or a negative errno. */
static int build_job(struct instance *instance, const struct records *records,
                     const struct wire_record *record, struct aead_job *job) {
  *job = (struct aead_job){
      .context = aead_keys_at(&instance->keys, record->key),
      .counter = (uint64_t)record->counter_high << 32 | record->counter_low,
      .output = records->memory->base + record->output,
  };
  return job->context == NULL ? -ENOENT : 0;
}

/* The length of all pieces, or a negative errno. */
static int64_t build_pieces(const struct memory *memory, const struct wire_record *record,
                            struct iovec *pieces) {
  uint64_t space = (uint64_t)record->input_count * sizeof(struct wire_piece);
  if (!memory_contains(memory, record->input, space)) return -EFAULT;
  int64_t length = 0;
  for (uint32_t i = 0; i < record->input_count; i++) {
    struct wire_piece piece;
    memcpy(&piece, memory->base + record->input + i * sizeof(piece), sizeof(piece));
    if (!memory_contains(memory, piece.offset, piece.length)) return -EFAULT;
    pieces[i] = (struct iovec){.iov_base = memory->base + piece.offset, .iov_len = piece.length};
    length += piece.length;
  }
  return length;
}

static int build_seal(struct instance *instance, const struct records *records,
                      const struct wire_record *record, struct iovec *pieces,
                      struct aead_job *job) {
  int error = build_job(instance, records, record, job);
  if (error < 0) return error;
  if (record->padding > PADDING_MAX) return -EINVAL;
  int64_t length = build_pieces(records->memory, record, pieces);
  if (length < 0) return (int)length;
  length += record->padding;
  if (length > LENGTH_MAX - AEAD_TAG_LENGTH) return -EMSGSIZE;
  if (!memory_contains(records->memory, record->output, (uint64_t)length + AEAD_TAG_LENGTH)) {
    return -EFAULT;
  }
  job->pieces = pieces;
  job->count = record->input_count;
  job->length = (uint32_t)length;
  return 0;
}

/* Records beyond the pool of pieces stay for the next call. */
static int build_seals(struct instance *instance, struct records *records) {
  struct scratch *scratch = &instance->scratch;
  size_t used = 0;
  for (uint32_t i = 0; i < records->count; i++) {
    struct wire_record record = read_record(records, i);
    if (record.input_count > IOV_MAX_COUNT) return -EINVAL;
    if (used + record.input_count > IOV_POOL) {
      records->count = i;
      return 0;
    }
    int error = build_seal(instance, records, &record, scratch->iovs + used, &scratch->jobs[i]);
    if (error < 0) return error;
    used += record.input_count;
  }
  return 0;
}

/*
 * The pieces are copied and then sealed at once: to have libcrypto take each by itself is as fast for two, and slower
 * for more, as those whose length is no multiple of 64 break its blocks.
 */
static int seal(const struct aead_job *job) {
  uint8_t *at = job->output;
  for (uint32_t i = 0; i < job->count; i++) {
    memmove(at, job->pieces[i].iov_base, job->pieces[i].iov_len);
    at += job->pieces[i].iov_len;
  }
  memset(at, 0, (size_t)(job->output + job->length - at));
  return aead_seal(job->context, job->counter, job->output, job->length);
}

static napi_value seal_messages(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct records records = call_records(&call);
  int error = call_ok(&call) ? build_seals(call.instance, &records) : 0;
  if (error < 0) call_fail(&call, error);
  if (!call_ok(&call)) return call_end(&call, 0);
  const struct aead_job *jobs = call.instance->scratch.jobs;
  for (uint32_t i = 0; i < records.count; i++) write_result(&records, i, seal(&jobs[i]));
  return call_end(&call, records.count);
}

static int build_open(struct instance *instance, const struct records *records,
                      const struct wire_record *record, struct aead_job *job) {
  int error = build_job(instance, records, record, job);
  if (error < 0) return error;
  const struct memory *memory = records->memory;
  uint32_t length = record->input_count;
  if (length > LENGTH_MAX) return -EMSGSIZE;
  if (!memory_contains(memory, record->input, length)) return -EFAULT;
  if (!memory_contains(memory, record->output, length)) return -EFAULT;
  uint32_t distance = record->input > record->output ? record->input - record->output
                                                     : record->output - record->input;
  if (distance != 0 && distance < length) return -EINVAL;
  job->input = memory->base + record->input;
  job->length = length;
  return 0;
}

static int build_opens(struct instance *instance, const struct records *records) {
  for (uint32_t i = 0; i < records->count; i++) {
    struct wire_record record = read_record(records, i);
    int error = build_open(instance, records, &record, &instance->scratch.jobs[i]);
    if (error < 0) return error;
  }
  return 0;
}

static int open_one(const struct aead_job *job) {
  return aead_open(job->context, job->counter, job->input, job->length, job->output);
}

static napi_value open_messages(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct records records = call_records(&call);
  int error = call_ok(&call) ? build_opens(call.instance, &records) : 0;
  if (error < 0) call_fail(&call, error);
  if (!call_ok(&call)) return call_end(&call, 0);
  const struct aead_job *jobs = call.instance->scratch.jobs;
  for (uint32_t i = 0; i < records.count; i++) write_result(&records, i, open_one(&jobs[i]));
  return call_end(&call, records.count);
}

static napi_value keyed_hash(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct range key = call_bytes(&call, 0);
  struct range bytes = call_bytes(&call, 1);
  struct range mac = call_bytes(&call, 2);
  if (key.length == 0 || key.length > BLAKE2S_KEY_MAX || mac.length != BLAKE2S_MAC_LENGTH) {
    call_fail(&call, -EINVAL);
  }
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, blake2s_mac(key.base, key.length, bytes.base, bytes.length, mac.base));
}

const struct method aead_methods[] = {
    {"aeadKey", add_key},
    {"aeadForget", forget_key},
    {"aeadSeal", seal_messages},
    {"aeadOpen", open_messages},
    {"blake2sMac", keyed_hash},
    {NULL, NULL},
};
