import { Address } from "../../base/address.js";
import { MOST_NAME_SERVERS } from "../../config/constants.js";
import type { GivenAttachment } from "../../rpc/messages.js";
import type { CniVersion, Configured } from "./request.js";

/** Destinations of the default routes. */
const ANYWHERE = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** The interface that ADD has made. */
export interface Interface {
  readonly name: string;
  /** File of the network namespace. */
  readonly sandbox: string;
}

/** The result of ADD: that of the plugins before this one, with our interface, addresses, routes and DNS. */
export function resultOf(
  { version, conf }: Configured,
  { name, sandbox }: Interface,
  { mac, mtu, internal, addresses }: GivenAttachment,
): object {
  const before = conf.prevResult ?? { interfaces: [], ips: [], routes: [] };
  const index = before.interfaces.length;
  return {
    ...before,
    cniVersion: version,
    interfaces: [
      ...before.interfaces,
      { name, mac, ...(version === "1.1.0" ? { mtu } : {}), sandbox },
    ],
    ips: [
      ...before.ips,
      ...addresses.map(({ address, subnet, gateway }) => ({
        ...versionOfIp(version, address),
        address: `${address}/${subnet.split("/")[1]}`,
        gateway,
        interface: index,
      })),
    ],
    routes: [
      ...before.routes,
      ...(internal ? [] : addresses.map(({ address, gateway: gw }) => routeTo(address, gw))),
    ],
    dns: dnsOf(conf, addresses),
  };
}

/** Before 1.0 an address had its IP version beside it. */
function versionOfIp(version: CniVersion, address: string): object {
  return version === "0.4.0" ? { version: String(familyOf(address)) } : {};
}

function routeTo(address: string, gw: string): object {
  return { dst: ANYWHERE[familyOf(address)], gw };
}

/** The gateways answer DNS: they know the members' names, and forward other questions. */
function dnsOf(
  { dns, runtimeConfig }: Configured["conf"],
  addresses: GivenAttachment["addresses"],
): object {
  const given = runtimeConfig.dns;
  const search = [...dns.search, ...(given?.searches ?? [])];
  const options = [...dns.options, ...(given?.options ?? [])];
  return {
    nameservers: addresses.map(({ gateway }) => gateway).slice(0, MOST_NAME_SERVERS),
    ...(dns.domain === undefined ? {} : { domain: dns.domain }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
  };
}

function familyOf(address: string): 4 | 6 {
  return Address.parse(address)?.family ?? 4;
}
