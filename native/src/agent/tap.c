#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <linux/if_tun.h>

/* Since Linux 6.2; Debian 12's headers are older. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
  VNET_HEADER_LENGTH = 10, /* struct virtio_net_hdr, without num_buffers */
  OFFLOAD_TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
  OFFLOAD_ALL = OFFLOAD_TCP | TUN_F_USO4 | TUN_F_USO6,
};

int tap_set_vnet_header(int tap) {
  int length = VNET_HEADER_LENGTH;
  return ioctl(tap, TUNSETVNETHDRSZ, &length);
}

int tap_set_offload(int tap, bool vnet_header) {
  if (!vnet_header) return ioctl(tap, TUNSETOFFLOAD, 0);
  if (ioctl(tap, TUNSETOFFLOAD, OFFLOAD_ALL) == 0) return 0;
  return ioctl(tap, TUNSETOFFLOAD, OFFLOAD_TCP);
}

/* Flags of the device behind a descriptor, or a negative errno. */
static int flags_of(int fd) {
  struct ifreq request = {0};
  if (ioctl(fd, TUNGETIFF, &request) < 0) return -ENOTTY;
  return (unsigned short)request.ifr_flags;
}

int tap_set_up(int tap) {
  int flags = flags_of(tap);
  if (flags < 0) return flags;
  if ((flags & IFF_TAP) == 0 || (flags & IFF_NO_PI) == 0) return -EINVAL;
  bool vnet_header = (flags & IFF_VNET_HDR) != 0;
  if (vnet_header && tap_set_vnet_header(tap) < 0) return -errno;
  if (tap_set_offload(tap, vnet_header) < 0) return -errno;
  int status = fcntl(tap, F_GETFL);
  if (status < 0 || fcntl(tap, F_SETFL, status | O_NONBLOCK) < 0) return -errno;
  return vnet_header ? 1 : 0;
}
