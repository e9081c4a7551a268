import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { type Address, formatEndpoint } from "../../base/address.js";
import { UserError } from "../../base/errors.js";

const { EACCES, EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOSPC } = constants.errno;

/** The error for a port that cannot be opened. @param errno positive */
export function publishFailure(host: Address, port: number, errno: number): UserError {
  return new UserError(failureText(host, port, errno));
}

export function failureText(host: Address, port: number, errno: number): string {
  return `cannot publish ${formatEndpoint(host, port)}: ${reasonOf(host, port, errno)}`;
}

function reasonOf(host: Address, port: number, errno: number): string {
  switch (errno) {
    case EADDRINUSE:
      return "the port is in use: choose another, or find its user: ss -lntup";
    case EACCES:
      return `not permitted: sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}, or choose a higher one`;
    case EMFILE:
      return "no file descriptor is left for it: raise the limit (ulimit -n)";
    case ENFILE:
      return "the namespace listens on too many ports: see --publish-exclude";
    case EADDRNOTAVAIL:
      return `this host does not have the address ${host}: see ip addr`;
    case ENOSPC:
      return "there are as many as --max-listeners allows: give a higher number";
    default:
      return `${getSystemErrorName(-errno)}: choose another port`;
  }
}
