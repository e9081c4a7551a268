import type { Address } from "../base/address.js";
import { UserError } from "../base/errors.js";
import type { Mac } from "../base/mac.js";
import { interfaceMac, ipAddress, memberAddresses } from "../commandline/parsing/addresses.js";
import { interfaceName } from "../commandline/parsing/values.js";
import { hostnameOfMember, isTaken, requireValidName, shortId } from "../config/names.js";
import type { Reach } from "../nat/host-gateway.js";
import type { NamespaceRef, Params } from "../rpc/messages.js";
import { randomId } from "../sys/random.js";
import type { Attachment, MemberSettings, Reservation } from "./attachment.js";
import { parseHosts } from "./hosts.js";
import type { Network } from "./network.js";

/** A namespace that is attached to one network or several. */
export interface Member extends MemberSettings {
  /** Milliseconds since 1970. */
  readonly since: number;
  namespace: NamespaceRef | null;
  /**
   * Where it was with the daemon before, until its client joins again: what it had is reserved for it as long as the process
   * lives. The state says so, so nobody is told of this namespace, as they might enter it. null: it is not awaited.
   */
  awaitedIn: NamespaceRef | null;
  /** Whether its client keeps its TAPs: that joins the next daemon again. */
  readonly keepsTaps: boolean;
  /** The process that keeps its TAPs: a `slipway run`. null: there is none. */
  client: number | null;
  /** In the order in which they were joined. */
  readonly attachments: Attachment[];
  labels: Readonly<Record<string, string>>;
  /**
   * In the notation of --publish: published ports, which whoever serves the outbound attachment next publishes again.
   * If the member stays, the next daemon does, too.
   */
  publishing: readonly string[];
  /** Whether the ports on which it listens are published, too: its client does it again when `autoBy` has gone. */
  wantsAuto: boolean;
  /** By which attachment these are published; null: by none. */
  autoBy: Attachment | null;
}

type JoinParams = Params<"member.join">;

/**
 * A member without attachments.
 * @param others that there are
 * @param reach where its gateway leads
 * @throws UserError when its name is invalid or taken, or it has a host that is neither an address nor reached
 */
export function newMember(spec: JoinParams, others: readonly Member[], reach: () => Reach): Member {
  const isFree = spec.id !== null && !others.some(({ id }) => id === spec.id);
  const id = isFree && spec.id !== null ? spec.id : randomId();
  const name = spec.name ?? shortId(id);
  if (spec.hostname !== null) requireValidName("hostname", "a hostname", spec.hostname);
  requireFreeName(name, others);
  return {
    id,
    name,
    hostname: spec.hostname ?? hostnameOfMember(name, id),
    since: Date.now(),
    namespace: spec.namespace,
    awaitedIn: null,
    keepsTaps: spec.keepsTaps,
    stays: spec.stays,
    attachments: [],
    hosts: parseHosts(spec.hosts, reach),
    dns: spec.dns.map((text) => ipAddress(text, "--dns")),
    hostLoopback: spec.hostLoopback,
    sources: spec.sources.map((text) => ipAddress(text, "--host-address")),
    labels: {},
    publishing: [],
    client: null,
    wantsAuto: false,
    autoBy: null,
  };
}

/** @throws UserError when a new member may not have that name */
export function requireFreeName(name: string, others: readonly Member[]): void {
  requireValidName("name", "a member's name", name);
  const other = others.find((member) => isTaken(name, member));
  if (other === undefined) return;
  throw new UserError(`the name ${name} is taken by a member ${placeOf(other)}: choose another`);
}

/** What a member asks of a network. */
interface CheckedWish {
  /** Its own name first, then aliases; in lower case. */
  readonly names: readonly string[];
  readonly addresses: readonly Address[];
  readonly mac: Mac | null;
}

/** @throws UserError when it is wrong, or the member is on that network */
export function checkWish(
  network: Network,
  { id, name, attachments }: Pick<Member, "id" | "name" | "attachments">,
  spec: JoinParams["attachments"][number],
): CheckedWish {
  if (attachments.some((each) => each.network === network)) {
    throw new UserError(
      `${name} is already on network ${network.name}: slipway network disconnect ${network.name} ${name}`,
    );
  }
  for (const alias of spec.aliases) requireValidName("alias", "an alias", alias);
  if (spec.ifname !== null) interfaceName(spec.ifname, "--ifname");
  const addresses = memberAddresses(spec.addresses, "--ip");
  const mac = spec.mac === null ? null : interfaceMac(spec.mac, "--mac-address");
  // Docker's DNS answers for a container's short id, too.
  const names = [name, ...spec.aliases, shortId(id)].map((each) => each.toLowerCase());
  return { names: [...new Set(names)], addresses, mac };
}

/**
 * Reserves names, addresses and a MAC on a network.
 * @throws UserError, and nothing is reserved then
 */
export function reserve(
  network: Network,
  member: Member,
  spec: JoinParams["attachments"][number],
): Reservation {
  const { names, addresses, mac } = checkWish(network, member, spec);
  const identity = network.reserve(addresses, mac, member.name);
  const named = { names, addresses: identity.addresses };
  return { network, identity, named, ifname: spec.ifname };
}

/** The attachment whose gateway leads outside: the first to a network that is not internal. */
export function outboundAttachmentOf({ attachments }: Member): Attachment | undefined {
  return attachments.find(({ network }) => !network.definition.internal);
}

/** @param network its name or its id @throws UserError when it is not on that network */
export function attachmentTo(member: Member, network: string): Attachment {
  const found =
    member.attachments.find((each) => each.network.name === network) ??
    member.attachments.find((each) => each.network.id === network);
  if (found !== undefined) return found;
  throw new UserError(`${member.name} is not on network ${network}: it is ${placeOf(member)}`);
}

/** Whether ports on which the member listens are published no longer, and may be by another attachment. */
export function needsAuto(member: Member): boolean {
  const { wantsAuto, autoBy } = member;
  return wantsAuto && autoBy === null && !!outboundAttachmentOf(member)?.served;
}

function placeOf({ attachments }: Member): string {
  const names = attachments.map(({ network }) => network.name);
  return names.length === 0 ? "on no network" : `on ${names.join(", ")}`;
}
