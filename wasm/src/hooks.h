/* Hooks that lwIP calls by macro. */
#pragma once
#include "lwip/ip_addr.h"

/* An initial sequence number nobody can guess (RFC 6528): lwIP's own counts up from a constant. */
#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) random_u32()
