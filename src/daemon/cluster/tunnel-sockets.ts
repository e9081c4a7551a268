import { getSystemErrorName } from "node:util";
import { type Address, formatEndpoint } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import type { ClusterConfig } from "../../config/cluster-config.js";
import { Errno } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { openTunnelSocket } from "../../sys/sockets/datagram-socket.js";

/** One socket for each family that this host advertises. */
export interface TunnelSockets {
  readonly vxlan: readonly number[];
  readonly wireguard: readonly number[];
}

type Places = Pick<ClusterConfig, "advertise" | "listen" | "vxlanPort" | "wireguardPort">;

/**
 * Opens the sockets by which other hosts reach this one: others know it by the advertised address, so that is what its
 * packets come from, unless `listen` says otherwise. They stay open until the process ends.
 * @throws UserError when an address is not of this host, or a port is in use; none is open then
 */
export function openTunnelSockets(places: Places): TunnelSockets {
  const { advertise, listen, vxlanPort, wireguardPort } = places;
  const opened: number[] = [];
  const open = (port: number, option: string): readonly number[] =>
    advertise.map((advertised) => {
      const listened = listen.find(({ family }) => family === advertised.family);
      const fd = openTunnelSocket(listened ?? advertised, port);
      if (fd < 0) throw failure(fd, { advertised, listened, port, option });
      opened.push(fd);
      return fd;
    });
  try {
    return {
      vxlan: open(vxlanPort, "--vxlan-port"),
      wireguard: open(wireguardPort, "--wireguard-port"),
    };
  } catch (error) {
    for (const fd of opened) native.close(fd);
    throw error;
  }
}

interface Attempt {
  readonly advertised: Address;
  readonly listened: Address | undefined;
  readonly port: number;
  /** That chooses the port. */
  readonly option: string;
}

function failure(errno: number, { advertised, listened, port, option }: Attempt): UserError {
  const place = `UDP port ${formatEndpoint(listened ?? advertised, port)}`;
  switch (-errno) {
    case Errno.EADDRINUSE:
      return new UserError(
        `${place} is in use, by another user's daemon or the kernel's VXLAN: choose another port by ${option}`,
      );
    case Errno.EADDRNOTAVAIL:
      // Behind a NAT the advertised address is the router's.
      return new UserError(
        listened === undefined
          ? `--advertise ${advertised} is not an address of this host: choose one of them (ip address), or behind a NAT give --listen, too`
          : `--listen ${listened} is not an address of this host: choose one of them (ip address)`,
      );
    case Errno.EACCES:
      return new UserError(`${place} is for root alone: choose one above 1023 by ${option}`);
    default:
      return new UserError(`cannot open ${place} (${getSystemErrorName(errno)}): see ${option}`);
  }
}
