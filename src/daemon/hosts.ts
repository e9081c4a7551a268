import { Address } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { quoted } from "../base/printable.js";
import { HOST_GATEWAY } from "../config/constants.js";
import { requireValidName } from "../config/names.js";
import { type Reach, requireHostGateway } from "../nat/host-gateway.js";

/** Further names that DNS resolves for a member: in lower case, with their addresses. */
export type Hosts = ReadonlyMap<string, readonly Address[]>;

/**
 * @param texts NAME=ADDRESS or NAME=host-gateway; several of one name are its addresses
 * @param reach where the member's gateway leads
 * @throws UserError
 */
export function parseHosts(texts: readonly string[], reach: () => Reach): Hosts {
  const hosts = new Map<string, Address[]>();
  for (const text of texts) {
    const [name = "", value = ""] = text.toLowerCase().split("=");
    requireValidName("alias", "a name of --add-host", name);
    hosts.set(name, [...(hosts.get(name) ?? []), ...addressesOf(name, value, reach)]);
  }
  return hosts;
}

/** In the notation that parseHosts() reads, without host-gateway. */
export function formatHosts(hosts: Hosts): readonly string[] {
  return [...hosts].flatMap(([name, addresses]) => addresses.map((each) => `${name}=${each}`));
}

function addressesOf(name: string, value: string, reach: () => Reach): readonly Address[] {
  if (value === HOST_GATEWAY) return requireHostGateway(name, reach());
  const address = Address.parse(value);
  if (address !== null) return [address];
  throw new UserError(`--add-host ${name}: ${quoted(value)} is not an address`);
}
