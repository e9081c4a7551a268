import { Address, type Family } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { HOST_GATEWAY } from "../config/constants.js";
import { sourceTowards } from "../sys/sockets/socket.js";
import { type Reach, translateDestination } from "./translate.js";

export type { Reach } from "./translate.js";

/** Of a.root-servers.net: the host sends to the world from the address that its route to there has. */
const WORLD: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0xc629_0004),
  6: Address.ofWords(0x2001_0503, 0xba3e_0000, 0, 0x0002_0030),
};

/**
 * The addresses at which a guest reaches its host, at most one of each of the guest's families: a mapped address, best
 * one that leads to the host's loopback; otherwise the address from which the host sends to the world, if the guest may
 * reach it. They change with the host's routes.
 */
export function hostGateway(reach: Reach): readonly Address[] {
  return reach.plans.flatMap(({ guest, mapped }) => {
    const best = mapped.find(({ to }) => to.isLoopback) ?? mapped[0];
    if (best !== undefined) return [best.at];
    const source = sourceTowards(WORLD[guest.family]);
    const isReached = source !== null && translateDestination(reach, source, 0) instanceof Address;
    return isReached ? [source] : [];
  });
}

/**
 * As hostGateway(), for a name that the user gives it.
 * @throws UserError when there is no such address
 */
export function requireHostGateway(name: string, reach: Reach): readonly Address[] {
  const found = hostGateway(reach);
  if (found.length > 0) return found;
  throw new UserError(
    `--add-host ${name}=${HOST_GATEWAY}: no address of this host can be reached from there: add --host-loopback, or use a network that is not internal`,
  );
}
