#include "netlink.h"

#include <string.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

struct request_kind {
  uint16_t type;
  uint16_t flags; /* that it may have beside NLM_F_REQUEST and NLM_F_ACK */
  size_t body;    /* bytes between header and attributes */
  uint64_t attributes;
};

#define ATTRIBUTE(number) (UINT64_C(1) << (number))

#define ROUTE_ATTRIBUTES \
  (ATTRIBUTE(RTA_DST) | ATTRIBUTE(RTA_OIF) | ATTRIBUTE(RTA_GATEWAY) | ATTRIBUTE(RTA_PRIORITY))

static const struct request_kind kinds[] = {
    {RTM_NEWLINK, 0, sizeof(struct ifinfomsg),
     ATTRIBUTE(IFLA_ADDRESS) | ATTRIBUTE(IFLA_MTU) | ATTRIBUTE(IFLA_TXQLEN)},
    {RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL, sizeof(struct ifaddrmsg),
     ATTRIBUTE(IFA_ADDRESS) | ATTRIBUTE(IFA_LOCAL) | ATTRIBUTE(IFA_BROADCAST)},
    {RTM_DELADDR, 0, sizeof(struct ifaddrmsg), ATTRIBUTE(IFA_ADDRESS) | ATTRIBUTE(IFA_LOCAL)},
    {RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL, sizeof(struct rtmsg), ROUTE_ATTRIBUTES},
    {RTM_DELROUTE, 0, sizeof(struct rtmsg), ROUTE_ATTRIBUTES},
};

static const struct request_kind *kind_of(uint16_t type) {
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    if (kinds[i].type == type) return &kinds[i];
  }
  return NULL;
}

/* The bytes are not aligned for the compiler; headers are copied out of them. */
static bool are_allowed(const uint8_t *bytes, size_t length, uint64_t allowed) {
  struct rtattr head;
  for (size_t at = 0; at < length; at += RTA_ALIGN(head.rta_len)) {
    if (length - at < sizeof(head)) return false;
    memcpy(&head, bytes + at, sizeof(head));
    if (head.rta_len < sizeof(head) || RTA_ALIGN(head.rta_len) > length - at) return false;
    if (head.rta_type >= 64 || (allowed & ATTRIBUTE(head.rta_type)) == 0) return false;
  }
  return true;
}

bool netlink_is_allowed(const uint8_t *bytes, size_t length) {
  const uint16_t wanted = NLM_F_REQUEST | NLM_F_ACK;
  struct nlmsghdr header;
  if (length < sizeof(header)) return false;
  memcpy(&header, bytes, sizeof(header));
  const struct request_kind *kind = kind_of(header.nlmsg_type);
  if (kind == NULL || header.nlmsg_len != length) return false;
  if ((header.nlmsg_flags & wanted) != wanted) return false;
  if ((header.nlmsg_flags & ~(wanted | kind->flags)) != 0) return false;
  size_t attributes = sizeof(header) + kind->body;
  return length >= attributes &&
         are_allowed(bytes + attributes, length - attributes, kind->attributes);
}
