#include "plan.h"

#include <string.h>

static const char *take_text(const char **rest, const char *end) {
  const char *text = *rest;
  size_t length = strnlen(text, (size_t)(end - text));
  if (text + length == end) return NULL;
  *rest = text + length + 1;
  return text;
}

bool plan_take(struct plan *plan, const struct connection *connection) {
  struct shared_plan head;
  size_t length = connection->length;
  if (!connection_has(connection, SHARED_PLAN) || length < sizeof(head)) return false;
  size_t size = length - sizeof(head);
  if (size > sizeof(plan->texts)) return false;
  memcpy(&head, connection->message, sizeof(head));
  memcpy(plan->texts, connection->message + sizeof(head), size);
  plan->ready_fd = head.ready_fd;
  plan->exit_fd = head.exit_fd;
  plan->target.pid = head.pid;
  const char *rest = plan->texts;
  const char *end = plan->texts + size;
  return (plan->target.netns = take_text(&rest, end)) != NULL &&
         (plan->target.userns = take_text(&rest, end)) != NULL &&
         (plan->target.tap = take_text(&rest, end)) != NULL &&
         (plan->api_path = take_text(&rest, end)) != NULL;
}
