import { includesAddress } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { formatMac } from "../../base/mac.js";
import type { Claim, Wish } from "../cluster.js";
import type { MemberRecord, NetworkRecord } from "../records.js";

/**
 * What a file gives a member, by its name and host.
 * @param members of the network
 * @throws UserError when it does not list it, or something else is wished for
 */
export function fixedClaim(
  place: string,
  host: string,
  network: NetworkRecord,
  members: readonly MemberRecord[],
  wish: Wish,
): Claim {
  const name = wish.member.name.toLowerCase();
  const listed = members.find(
    ({ names, location }) =>
      names[0] === name && location.kind === "host" && location.host === host,
  );
  if (listed === undefined) {
    throw new UserError(
      `${place} has no member ${wish.member.name} of network ${network.name} on this host: add it, and restart the daemons, or choose another --name`,
    );
  }
  const other = wish.addresses.find((address) => !includesAddress(listed.addresses, address));
  if (other !== undefined) {
    throw new UserError(
      `${place} gives member ${name} ${listed.addresses.join(" and ")}, not ${other}: leave --ip out`,
    );
  }
  if (wish.mac !== null && wish.mac !== listed.mac) {
    throw new UserError(
      `${place} gives member ${name} the MAC ${formatMac(listed.mac)}: leave --mac-address out`,
    );
  }
  const nothing = (): Promise<void> => Promise.resolve();
  return { record: { ...listed, id: wish.member.id }, announce: nothing, release: nothing };
}
