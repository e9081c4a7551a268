/*
 * lwIP's options: TCP and nothing else, as link.c is its IP layer and TypeScript does ARP, ICMP and
 * UDP. The version is 2.2.1.
 */
#pragma once

#include <stddef.h>

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_SINGLE_NETIF 1
/*
 * On for the fuzzers; in WASM a failed assertion would end all connections for what is often
 * harmless.
 */
#ifndef FUZZING
#define LWIP_NOASSERT 1
#endif
#define LWIP_STATS 0

#define LWIP_TCP 1
#define LWIP_UDP 0
#define LWIP_RAW 0
#define LWIP_ICMP 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define IP_FRAG 0
#define IP_REASSEMBLY 0
#define IP_FORWARD 0

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_IPV6_SCOPES 0
#define LWIP_IPV6_MLD 0
#define LWIP_ICMP6 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_ND6_QUEUEING 0

/*
 * The event API does not report the end of a connection in SYN_RCVD (tcp_priv.h).
 */
#define LWIP_EVENT_API 0
#define LWIP_CALLBACK_API 1

#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 8
#define TCP_WND (4 * 1024 * 1024)
#define TCP_MSS 65495
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 4096
#define TCP_SNDLOWAT 1
#define TCP_SNDQUEUELOWAT 1
#define TCP_OVERSIZE 0
#define TCP_LISTEN_BACKLOG 0
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define TCP_QUEUE_OOSEQ 1
/* The guest decides how much comes out of order: limited for each connection. */
#define TCP_OOSEQ_MAX_BYTES (256 * 1024)
#define TCP_OOSEQ_MAX_PBUFS 256
/* Milliseconds. No segment lives for RFC 9293's two minutes on the one hop to the guest. */
#define TCP_MSL 1000
#define TCP_TMR_INTERVAL 100

#define LWIP_HOOK_FILENAME "hooks.h"

/* The kernel computes checksums where there is a virtio header, and link.c where there is none. */
#define CHECKSUM_GEN_IP 0
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0

#define MEM_ALIGNMENT 8
#define MEM_SIZE 1
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC heap_alloc_for_lwip
#define MEM_CUSTOM_FREE heap_free
#define MEM_CUSTOM_CALLOC heap_calloc
void *heap_alloc_for_lwip(size_t size);
void *heap_calloc(size_t count, size_t size);
void heap_free(void *object);
#define MEMP_MEM_MALLOC 1
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_LINK_HLEN 14
/* Room in front of the Ethernet header for the 10-byte virtio header. */
#define PBUF_LINK_ENCAPSULATION_HLEN 10
/* The default is derived from the MSS and would overflow its u16. */
#define PBUF_POOL_BUFSIZE 1600
