import * as v from "valibot";
import manifest from "../../package.json" with { type: "json" };
import { Address } from "../base/address.js";
import type { PublishedPort } from "../flow/published.js";
import type { Guest } from "../guest.js";

/** A request that is answered by an error, in the words that clients of slirp4netns know. */
class BadRequest extends Error {}

const HIGHEST_PORT = 65_535;

const address = v.pipe(
  v.string(),
  v.transform(Address.parse),
  v.check((parsed) => parsed !== null),
);
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(HIGHEST_PORT));

/** In the order in which slirp4netns looks at them: the first that does not hold is named. */
const addArguments = v.object({
  proto: v.picklist(["tcp", "udp"]),
  host_addr: v.optional(address, "0.0.0.0"),
  host_port: port,
  // podman sends an empty string for the guest's own address.
  guest_addr: v.optional(v.union([v.literal(""), address]), ""),
  guest_port: port,
});

const removeArguments = v.object({
  id: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Not in slirp4netns: whether the port's connections end with it. */
  kill: v.optional(v.boolean(), false),
});

const request = v.object({ execute: v.string(), arguments: v.optional(v.unknown(), {}) });

/** Whether the text is a whole request already: a client need not end its side. */
export function isComplete(text: string): boolean {
  if (!text.trimEnd().endsWith("}")) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Carries out the request in `text` and returns the answer. */
export function answer(guest: Guest, text: string): string {
  try {
    return JSON.stringify(execute(guest, text));
  } catch (error) {
    if (error instanceof BadRequest) return refusal(error.message);
    throw error;
  }
}

/** An error as slirp4netns words it. */
export function refusal(what: string): string {
  return JSON.stringify({ error: { desc: `bad request: ${what}` } });
}

function execute(guest: Guest, text: string): object {
  const { execute: command, arguments: raw } = parseRequest(text);
  switch (command) {
    case "add_hostfwd":
      return { return: addForward(guest, raw) };
    case "list_hostfwd":
      return listForwards(guest);
    case "remove_hostfwd":
      return { return: removeForward(guest, raw) };
    case "query_status":
      return { return: statusOf(guest) };
    default:
      throw new BadRequest("unknown execute");
  }
}

function parseRequest(text: string): v.InferOutput<typeof request> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BadRequest("cannot parse JSON");
  }
  const result = v.safeParse(request, parsed);
  if (!result.success) throw new BadRequest("no execute found");
  return result.output;
}

/** @throws BadRequest that names the first argument that does not hold */
function checked<Schema extends v.GenericSchema>(
  command: string,
  schema: Schema,
  raw: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const name =
    v.getDotPath(issue) ?? Object.keys("entries" in schema ? Object(schema.entries) : {})[0];
  throw new BadRequest(`${command}: bad arguments.${name}`);
}

function addForward(guest: Guest, raw: unknown): object {
  const asked = checked("add_hostfwd", addArguments, raw);
  const id = guest.forwards.add(publishedPort(guest, asked));
  if (id < 0) throw new BadRequest("add_hostfwd: slirp_add_hostfwd failed");
  return { id };
}

function publishedPort(guest: Guest, asked: v.InferOutput<typeof addArguments>): PublishedPort {
  const { proto: protocol, host_addr: host, host_port: hostPort, guest_port: guestPort } = asked;
  // The schema has refused what does not parse.
  if (host === null || asked.guest_addr === null) throw new BadRequest("unreachable");
  const target = asked.guest_addr === "" ? guest.addressFor(host.family) : asked.guest_addr;
  return { protocol, host, hostPort, guest: target, guestPort };
}

/** slirp4netns 1.2 answers without `return` here, against its manual: clients of either find theirs. */
function listForwards(guest: Guest): object {
  const entries = guest.forwards.rules.map(entryOf);
  return { return: { entries }, entries };
}

function removeForward(guest: Guest, raw: unknown): object {
  const { id, kill } = checked("remove_hostfwd", removeArguments, raw);
  if (!guest.forwards.remove(id, kill)) throw new BadRequest("remove_hostfwd: bad arguments.id");
  return {};
}

function entryOf(rule: Guest["forwards"]["rules"][number]): object {
  return {
    id: rule.id,
    proto: rule.protocol,
    host_addr: `${rule.host}`,
    host_port: rule.hostPort,
    guest_addr: `${rule.guest}`,
    guest_port: rule.guestPort,
  };
}

function statusOf(guest: Guest): object {
  const { mtu, plans } = guest.config;
  return {
    version: manifest.version,
    uptime: Math.floor(process.uptime()),
    mtu,
    networks: plans.map(({ prefix, gateway, dns, guest: own }) => ({
      network: `${prefix}`,
      gateway: `${gateway}`,
      dns: `${dns}`,
      guest: `${own}`,
    })),
    statistics: guest.statistics(),
    drops: Object.fromEntries(guest.drops.entries()),
  };
}
