import type { Given } from "../parsing/getopt.js";
import { wrong } from "../parsing/values.js";
import type { pestoOptions } from "./options.js";
import type { Direction, PestoChange, PestoRequest } from "./pesto.js";
import { portSpecifier } from "./port-specifier.js";
import type { Protocol } from "./ports.js";
import { socketPath } from "./values.js";

/** pasta's names of the places where it listens. */
const TABLES: Readonly<Record<string, Direction>> = { HOST: "inbound", SPLICE: "outbound" };

interface PortOption {
  readonly letter: string;
  readonly protocol: Protocol;
  readonly direction: Direction;
}

const PORT_OPTIONS: Readonly<Record<string, PortOption>> = {
  tcpPorts: { letter: "-t", protocol: "tcp", direction: "inbound" },
  udpPorts: { letter: "-u", protocol: "udp", direction: "inbound" },
  tcpNs: { letter: "-T", protocol: "tcp", direction: "outbound" },
  udpNs: { letter: "-U", protocol: "udp", direction: "outbound" },
} satisfies Partial<Record<keyof typeof pestoOptions, PortOption>>;

/** What the options of pesto ask for, in their order. @throws UserError */
export function pestoRequest({ options, operands }: Given): PestoRequest {
  const [path, superfluous] = operands;
  if (path === undefined)
    throw wrong("the path of pasta's socket is missing: give that of pasta -c");
  if (superfluous !== undefined) throw wrong(`pesto takes one path: leave out ${superfluous}`);
  const isReplacement = !options.some(({ key }) => ["add", "delete", "clear"].includes(key));
  const changes: PestoChange[] = [];
  const cleared = new Set<Direction>();
  let action: "add" | "delete" = "add";
  for (const { key, text } of options) {
    if (key === "add" || key === "delete") action = key;
    if (key === "clear") changes.push({ action: "clear", direction: tableOf(text) });
    const option = PORT_OPTIONS[key];
    if (option === undefined) continue;
    const { letter, protocol, direction } = option;
    // Without an action the ports take the place of those of their table.
    if (isReplacement && !cleared.has(direction)) {
      cleared.add(direction);
      changes.push({ action: "clear", direction });
    }
    if (text === "none") continue;
    for (const ports of portSpecifier(letter, direction, text)) {
      changes.push({ action, protocol, direction, ports });
    }
  }
  return {
    socket: socketPath(path, "PATH"),
    changes,
    show: changes.length === 0 || options.some(({ key }) => key === "show"),
  };
}

function tableOf(text: string): Direction {
  const direction = Object.hasOwn(TABLES, text) ? TABLES[text] : undefined;
  if (direction !== undefined) return direction;
  throw wrong(
    `--clear ${text} is no table: write HOST for the host's ports, or SPLICE for those of the guest's loopback`,
  );
}
