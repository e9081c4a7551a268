import type { Address } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { parsePasta } from "../../commandline/pasta/command-line.js";
import type { Direction } from "../../commandline/pasta/pesto.js";
import type { Forward } from "../../publish/forward-table.js";
import { DIRECTIONS, type Forwarding, PROTOCOLS } from "./forwarded.js";

/** What the answer begins with: pesto's exit status (native/launcher/pesto). */
const DONE = "0";
const FAILED = "1";

/** The option of a table's ports. */
const OPTIONS: Readonly<Record<Direction, Readonly<Record<Forward["protocol"], string>>>> = {
  inbound: { tcp: "-t", udp: "-u" },
  outbound: { tcp: "-T", udp: "-U" },
};

/**
 * Carries out a command line of pesto, all or nothing of it, in parts.
 * @returns its exit status, and what it prints: on stdout, or on stderr where it fails
 */
export function* answerPesto(forwarding: Forwarding, args: readonly string[]): Generator<string> {
  try {
    const invocation = parsePasta("pesto", args);
    if (invocation.kind !== "pesto") {
      yield DONE;
      return;
    }
    const { changes, show } = invocation.request;
    const before = show ? textOf(forwarding) : "";
    // An empty part: packets are handled in between.
    for (const _step of forwarding.change(changes)) yield "";
    const line = forwarding.takeLeftOut();
    if (line !== null) log.warn(line);
    const after = show && changes.length > 0 ? `now:\n${textOf(forwarding)}` : "";
    yield `${DONE}${before}${after}`;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    yield `${FAILED}${error.message}`;
  }
}

/** The forwarded ports, a line each, as options of pasta. */
function textOf({ tables, automatic }: Forwarding): string {
  const lines: string[] = [];
  for (const direction of DIRECTIONS) {
    for (const protocol of PROTOCOLS) {
      for (const { text } of automatic[direction][protocol]) lines.push(`${text}\n`);
    }
    const forwards = [...(tables[direction]?.all ?? [])].sort(inOrder);
    for (const forward of forwards) {
      lines.push(`${OPTIONS[direction][forward.protocol]} ${specifierOf(forward)}\n`);
    }
  }
  return lines.join("");
}

function inOrder(a: Forward, b: Forward): number {
  return a.protocol.localeCompare(b.protocol) || a.port - b.port;
}

function specifierOf(forward: Forward): string {
  const { address, interface: name, port, target, targetAddress, isAuto } = forward;
  const host = address === null ? "" : hostOf(address);
  const place = host + (name === null ? "" : `%${name}`);
  const behind = targetAddress === null ? "" : `${hostOf(targetAddress)}/`;
  const ports = target === port && behind === "" ? `${port}` : `${port}:${behind}${target}`;
  return `${place === "" ? "" : `${place}/`}${ports}${isAuto ? " (auto)" : ""}`;
}

function hostOf(address: Address): string {
  return address.family === 6 ? `[${address}]` : `${address}`;
}
