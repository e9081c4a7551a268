import { constants } from "node:os";
import * as v from "valibot";
import { type Address, formatEndpoint, UNSPECIFIED } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { formatPortRange } from "../../base/port-set.js";
import { print } from "../../base/stdio.js";
import { formatTable } from "../../base/table.js";
import type { PublishedPlace, PublishOption } from "../../commandline/publish-option.js";
import type { ControlOptions, GuestPort } from "../../commandline/requests.js";
import { publishFailure } from "../../host/ports/publish-failure.js";
import { addition, type Forward, forwards, status } from "./answers.js";
import { type Found, printEmptyList, withGuest } from "./find.js";
import { ApiError, type Place, request } from "./place.js";

/** How the API refuses a port of a member that goes outside by another network, or by none (src/api/requests.ts). */
const NOT_HERE = "not on this network";

/** A port that this command has opened. */
interface Added extends PublishOption {
  readonly host: Address;
}

/** `slipway port add`: opens all ports that are asked for, or none. */
export function addPorts(options: ControlOptions, ports: readonly PublishOption[]): Promise<void> {
  return withGuest(options, async ({ places: [place] }) => {
    const families = await familiesOf(place);
    const added: Added[] = [];
    try {
      for (const port of ports) await addOne(place, port, families, added);
    } catch (error) {
      for (const each of added) await remove(place, { ...each, kill: true });
      throw error;
    }
    print(options.json ? `${JSON.stringify(added.map(jsonOf))}\n` : added.map(lineOf).join(""));
  });
}

/** `slipway port ls`, and `slipway port NAME [PORT]`. @param of null: all ports; otherwise it must be published */
export function listPorts(options: ControlOptions, of: GuestPort | null): Promise<void> {
  const show = async ({ label, places: [place] }: Found): Promise<void> => {
    const entries = publishedOf((await request(place, "list_hostfwd", {}, forwards)).entries, of);
    if (of !== null && entries.length === 0) throw notPublished(label, of);
    if (options.json) {
      print(`${JSON.stringify(entries)}\n`);
      return;
    }
    if (of !== null) {
      print(entries.map((each) => `${formatEndpoint(each.host_addr, each.host_port)}\n`).join(""));
      return;
    }
    const rows = entries.map((each) => [
      `${each.id}`,
      each.proto,
      formatEndpoint(each.host_addr, each.host_port),
      formatEndpoint(each.guest_addr, each.guest_port),
    ]);
    const style = { gap: 2, rightAligned: [0] };
    print(formatTable(["ID", "PROTO", "HOST", "GUEST"], rows, style));
  };
  return withGuest(options, show, options.json ? printEmptyList : undefined);
}

function publishedOf(entries: readonly Forward[], of: GuestPort | null): readonly Forward[] {
  if (of === null) return entries;
  return entries.filter(({ proto, guest_port }) => proto === of.protocol && guest_port === of.port);
}

function notPublished(name: string, { protocol, port }: GuestPort): UserError {
  return new UserError(
    `port ${port}/${protocol} of ${name} is not published: slipway port ${name} lists those that are`,
  );
}

/** `slipway port rm`: stops accepting clients; `kill` closes open connections, too. */
export function removePorts(
  options: ControlOptions,
  removed: readonly PublishedPlace[],
  kill: boolean,
): Promise<void> {
  return withGuest(options, async ({ places: [place] }) => {
    for (const each of removed) await remove(place, { ...each, kill });
  });
}

/** Opens a port. On all addresses of the host it has a rule for each family, with the same port number. */
async function addOne(
  place: Place,
  { protocol, host, hostPort, guestPort, count }: PublishOption,
  families: readonly (4 | 6)[],
  added: Added[],
): Promise<void> {
  const hosts = host === null ? families.map((family) => UNSPECIFIED[family]) : [host];
  let known = hostPort;
  for (const each of hosts) {
    const port = { protocol, host: each, hostPort: known, guestPort, count };
    known = await addTo(place, port);
    added.push({ ...port, hostPort: known });
  }
}

/** @returns the port on the host, which the kernel chose if `hostPort` is 0 */
async function addTo(place: Place, port: Added): Promise<number> {
  const { protocol: proto, host, hostPort, guestPort: guest_port, count } = port;
  const host_port = hostPort === 0 ? "any" : hostPort;
  const parameters = { proto, host_addr: `${host}`, host_port, guest_port, count };
  try {
    const answer = await request(place, "add_hostfwd", parameters, addition);
    return answer.host_port ?? hostPort;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.message.endsWith(NOT_HERE)) throw notPublishable(place);
    const errnos: Readonly<Record<string, number>> = constants.errno;
    const errno = errnos[error.reason ?? ""];
    if (errno === undefined)
      throw new UserError(`${formatEndpoint(host, hostPort)}: ${error.message}`);
    throw publishFailure(host, hostPort, errno);
  }
}

function notPublishable({ identity: { name } }: Place): UserError {
  return new UserError(
    `${name} is on internal networks only: ports are published on networks that lead outside`,
  );
}

interface Removal extends PublishedPlace {
  readonly kill: boolean;
}

async function remove(place: Place, removal: Removal): Promise<void> {
  const { protocol: proto, host, hostPort: host_port, count, kill } = removal;
  const at = host === null ? {} : { host_addr: `${host}` };
  const parameters = { proto, host_port, count, kill, ...at };
  try {
    await request(place, "remove_hostfwd", parameters, v.object({}));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const where = host === null ? `${host_port}` : formatEndpoint(host, host_port);
    throw new UserError(`${where}/${proto} is not published: see slipway port ls`);
  }
}

async function familiesOf(place: Place): Promise<readonly (4 | 6)[]> {
  const { networks } = await request(place, "query_status", {}, status);
  return networks.map(({ guest }) => (guest.includes(":") ? 6 : 4));
}

function lineOf({ protocol, host, hostPort, guestPort, count }: Added): string {
  const range = (first: number): string => formatPortRange(first, count);
  const place = formatEndpoint(host, hostPort).replace(/\d+$/, range(hostPort));
  return `published ${place} → ${range(guestPort)}/${protocol}\n`;
}

function jsonOf({ protocol: proto, host, hostPort, guestPort, count }: Added): object {
  return { proto, host_addr: `${host}`, host_port: hostPort, guest_port: guestPort, count };
}
