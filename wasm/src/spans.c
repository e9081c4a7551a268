#include "spans.h"

#include <string.h>

#include "heap.h"

/* The size of an object for copied bytes. */
#define SPAN_OBJECT 4096
#define SPAN_CAPACITY (SPAN_OBJECT - (uint32_t)sizeof(struct span))
/* Segments up to this size are copied: in its receive buffer each would hold a whole block. */
#define COPY_LIMIT 2048

static void append_span(struct flow *flow, struct span *span) {
  span->next = NULL;
  if (flow->last_span) flow->last_span->next = span;
  else flow->spans = span;
  flow->last_span = span;
}

static uint32_t room_in_span(const struct span *span) {
  if (!span || span->owner) return 0;
  return SPAN_CAPACITY - (uint32_t)(span->data - span->bytes) - span->length;
}

static struct span *new_copy_span(void) {
  struct span *span = heap_alloc(SPAN_OBJECT);
  if (!span) return NULL;
  span->owner = NULL;
  span->data = span->bytes;
  span->length = 0;
  return span;
}

static bool copy_to_spans(struct flow *flow, const uint8_t *from, uint32_t length) {
  while (length > 0) {
    uint32_t room = room_in_span(flow->last_span);
    if (room == 0) {
      struct span *span = new_copy_span();
      if (!span) return false;
      append_span(flow, span);
      continue;
    }
    uint32_t part = length < room ? length : room;
    struct span *last = flow->last_span;
    memcpy(last->data + last->length, from, part);
    last->length += part;
    flow->backlog += part;
    from += part;
    length -= part;
  }
  return true;
}

static bool keep_frame(struct flow *flow, struct pbuf *frame) {
  struct span *span = heap_alloc(sizeof *span);
  if (!span) return false;
  span->owner = frame;
  span->data = frame->payload;
  span->length = frame->len;
  append_span(flow, span);
  flow->backlog += frame->len;
  return true;
}

static void free_span(struct span *span) {
  if (span->owner) pbuf_free(span->owner);
  heap_free(span);
}

/* Undoes a copy that ended half-way: frees the spans behind `last`, which had `length` bytes. */
static void truncate_spans(struct flow *flow, struct span *last, uint32_t length) {
  struct span *surplus = last ? last->next : flow->spans;
  while (surplus) {
    struct span *next = surplus->next;
    free_span(surplus);
    surplus = next;
  }
  flow->last_span = last;
  if (!last) {
    flow->spans = NULL;
    return;
  }
  last->next = NULL;
  last->length = length;
}

bool spans_append(struct flow *flow, struct pbuf *segment) {
  if (!segment->next && segment->len > COPY_LIMIT && keep_frame(flow, segment)) return true;
  struct span *last_before = flow->last_span;
  uint32_t length_before = last_before ? last_before->length : 0, backlog_before = flow->backlog;
  for (struct pbuf *part = segment; part; part = part->next) {
    if (copy_to_spans(flow, part->payload, part->len)) continue;
    truncate_spans(flow, last_before, length_before);
    flow->backlog = backlog_before;
    return false;
  }
  pbuf_free(segment);
  return true;
}

uint32_t spans_pieces(const struct flow *flow, struct iov *pieces, uint32_t capacity) {
  uint32_t count = 0;
  for (const struct span *span = flow->spans; span && count < capacity; span = span->next) {
    if (span->length == 0) continue;
    pieces[count].base = (uint32_t)(uintptr_t)span->data;
    pieces[count++].length = span->length;
  }
  return count;
}

void spans_remove(struct flow *flow, uint32_t length) {
  while (length > 0 && flow->spans) {
    struct span *span = flow->spans;
    if (length < span->length) {
      span->data += length;
      span->length -= length;
      flow->backlog -= length;
      return;
    }
    length -= span->length;
    flow->backlog -= span->length;
    flow->spans = span->next;
    if (!flow->spans) flow->last_span = NULL;
    free_span(span);
  }
}

/* A free block has room for all of one frame, so that the copy cannot fail half-way. */
void spans_compact(struct flow *flow) {
  uint32_t worth_a_block = HEAP_BLOCK_SIZE / 8 * (heap_is_tight() ? 7 : 4);
  struct span *old = flow->spans;
  flow->spans = flow->last_span = NULL;
  while (old) {
    struct span *next = old->next;
    bool wasteful = old->owner && old->length < worth_a_block;
    if (wasteful && heap_blocks_free() > 0) {
      flow->backlog -= old->length;
      copy_to_spans(flow, old->data, old->length);
      free_span(old);
    } else {
      append_span(flow, old);
    }
    old = next;
  }
}

void spans_free(struct flow *flow) {
  while (flow->spans) {
    struct span *next = flow->spans->next;
    free_span(flow->spans);
    flow->spans = next;
  }
  flow->last_span = NULL;
  flow->backlog = 0;
}
