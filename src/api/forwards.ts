import { getSystemErrorName } from "node:util";
import * as v from "valibot";
import { HIGHEST_PORT } from "../base/port-set.js";
import { MOST_PORTS_AT_ONCE } from "../config/constants.js";
import type { Guest } from "../guest/guest.js";
import type { PublishedPort, PublishedRule } from "../nat/published-port.js";
import { address } from "../rpc/address.js";
import { type Answer, arrayInParts, BadRequest, refusal, wholeAnswer } from "./answers.js";
import { checked, port, wholeNumber } from "./arguments.js";

/** Ports opened or closed, or rules listed, in one part of an answer: less than a millisecond. */
const PART = 64;

const count = v.optional(wholeNumber(MOST_PORTS_AT_ONCE), 1);

/** In the order in which slirp4netns checks them, and then those that it does not know. */
const addArguments = v.object({
  proto: v.picklist(["tcp", "udp"]),
  host_addr: v.optional(address, "0.0.0.0"),
  // Not in slirp4netns: "any" for any free port.
  host_port: v.union([port, v.literal("any")]),
  // podman sends an empty string for the guest's address.
  guest_addr: v.optional(v.union([v.literal(""), address]), ""),
  guest_port: port,
  count,
});

/** Not in slirp4netns: whether the port's connections are closed, too. */
const kill = v.optional(v.boolean(), false);

const removeById = v.object({ id: wholeNumber(Number.MAX_SAFE_INTEGER), kill });

const removeByPort = v.object({
  proto: v.picklist(["tcp", "udp"]),
  host_addr: v.optional(address),
  host_port: port,
  count,
  kill,
});

/** add_hostfwd: publishes one port, or `count` consecutive ones; all or none. */
export function addForward(guest: Guest, raw: unknown): Answer {
  const command = "add_hostfwd";
  const asked = checked(command, addArguments, raw);
  const { proto: protocol, host_addr: host, guest_port: guestPort } = asked;
  const isAny = asked.host_port === "any";
  const hostPort = asked.host_port === "any" ? 0 : asked.host_port;
  const target = asked.guest_addr === "" ? guest.addressFor(host.family) : asked.guest_addr;
  const last = Math.max(hostPort, guestPort) + asked.count - 1;
  if (last > HIGHEST_PORT || (isAny && asked.count > 1)) {
    throw new BadRequest(`${command}: bad arguments.count`);
  }
  const ports = Array.from({ length: asked.count }, (_, index) => ({
    protocol,
    host,
    guest: target,
    hostPort: hostPort + index,
    guestPort: guestPort + index,
  }));
  return addAll(guest, ports);
}

/** Opens the ports in parts. If one fails, or the client leaves before the end, all are closed again. */
function* addAll(guest: Guest, ports: readonly PublishedPort[]): Generator<string> {
  const ids: number[] = [];
  let errno = 0;
  try {
    for (const each of ports) {
      const id = guest.forwards.add(each);
      if (id < 0) {
        errno = -id;
        break;
      }
      ids.push(id);
      if (ids.length % PART === 0 && ids.length < ports.length) yield "";
    }
  } finally {
    if (ids.length < ports.length) for (const id of ids) guest.forwards.remove(id);
  }
  if (errno !== 0) {
    yield refusal("add_hostfwd: slirp_add_hostfwd failed", getSystemErrorName(-errno));
    return;
  }
  yield* wholeAnswer(additionOf(guest, ids, ports[0].hostPort === 0));
}

function additionOf(guest: Guest, ids: readonly number[], isAny: boolean): object {
  const [id] = ids;
  if (ids.length > 1) return { id, ids };
  if (!isAny) return { id };
  return { id, host_port: guest.forwards.rules.find((rule) => rule.id === id)?.hostPort };
}

/** list_hostfwd. slirp4netns 1.2 answers without `return`, against its manual; the answer has both forms. */
export function* listForwards(guest: Guest): Generator<string> {
  const entries = guest.forwards.rules.map(entryOf);
  if (entries.length <= PART) {
    yield JSON.stringify({ return: { entries }, entries });
    return;
  }
  yield '{"return":{"entries":';
  yield* arrayInParts(entries, PART);
  yield '},"entries":';
  yield* arrayInParts(entries, PART);
  yield "}";
}

/** remove_hostfwd: by the rule's id, or by the arguments of add_hostfwd. */
export function removeForward(guest: Guest, raw: unknown): Answer {
  const command = "remove_hostfwd";
  if (!v.is(v.object({ host_port: v.unknown() }), raw)) {
    const { id, kill: kills } = checked(command, removeById, raw);
    if (!guest.forwards.remove(id, kills)) throw new BadRequest(`${command}: bad arguments.id`);
    return wholeAnswer({});
  }
  const asked = checked(command, removeByPort, raw);
  const rules = guest.forwards.rules.filter((rule) => isAmong(rule, asked));
  if (rules.length === 0) throw new BadRequest(`${command}: bad arguments.host_port`);
  return removeAll(guest, rules, asked.kill);
}

function isAmong(rule: PublishedRule, asked: v.InferOutput<typeof removeByPort>): boolean {
  const { proto, host_addr: host, host_port: first, count: length } = asked;
  if (rule.protocol !== proto || rule.hostPort < first || rule.hostPort >= first + length) {
    return false;
  }
  return host === undefined || host.equals(rule.host);
}

function* removeAll(
  guest: Guest,
  rules: readonly PublishedRule[],
  kills: boolean,
): Generator<string> {
  for (const [index, { id }] of rules.entries()) {
    guest.forwards.remove(id, kills);
    if (index % PART === PART - 1) yield "";
  }
  yield* wholeAnswer({});
}

function entryOf(rule: PublishedRule): object {
  return {
    id: rule.id,
    proto: rule.protocol,
    host_addr: `${rule.host}`,
    host_port: rule.hostPort,
    guest_addr: `${rule.guest}`,
    guest_port: rule.guestPort,
  };
}
