import { monotonicMs } from "../../base/clock.js";
import { log } from "../../base/log.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import type { Direction, PestoChange } from "../../commandline/pasta/pesto.js";
import type { PortForwards } from "../../commandline/pasta/ports.js";
import type { Guest } from "../../guest/guest.js";
import type { Resident } from "../../netns/agent.js";
import { FollowedPorts } from "../../publish/followed-ports.js";
import { ForwardTable } from "../../publish/forward-table.js";
import type { Listener } from "../../wire/inet-diag.js";
import { DIRECTIONS, Forwarding, PROTOCOLS } from "./forwarded.js";
import { listenerSocketHere, listenerSocketInside, scanListeners } from "./scanning.js";
import { inboundSockets, outboundSockets, sessionInside, socketsInside } from "./sockets.js";

export type { Forwarding } from "./forwarded.js";

/** The part of a command line that is about ports. */
export type ForwardingOptions = Pick<
  PastaConfig,
  "ports" | "hostLoopbackToGuestLoopback" | "freebind" | "splice" | "controlSocket"
>;

/**
 * Forwards the ports of a command line of pasta: all, or none. To be called before the sandbox is entered; what is added
 * later needs nothing else.
 * @param resident in the guest's namespace, and the guest's from now on; null: there is none, or none is needed
 * @throws UserError for the first that cannot be had
 */
export function startForwarding(
  guest: Guest,
  resident: Resident | null,
  options: ForwardingOptions,
): Forwarding {
  const needed = needsOf(options);
  const { splice } = options;
  if (resident !== null && splice !== "never") guest.reachLoopback(resident.socket);
  const inbound = new ForwardTable(guest.forwards, inboundSockets(guest, options));
  const outbound = resident === null || !needed.outbound ? null : outboundTable(guest, resident);
  const forwarding = new Forwarding(inbound, outbound);
  if (resident !== null && needed.autoInbound) {
    follow(guest, listenerSocketInside(resident), forwarding, "inbound");
  }
  if (outbound !== null && needed.autoOutbound) {
    follow(guest, listenerSocketHere(), forwarding, "outbound");
  }
  for (const _step of forwarding.change(additionsOf(options.ports)));
  const line = forwarding.takeLeftOut();
  if (line !== null) log.warn(line);
  return forwarding;
}

/** Whether the ports need a resident in the guest's namespace. */
export function needsResident(options: ForwardingOptions): boolean {
  return needsOf(options).resident;
}

/** Whether ports are opened after the sandbox is entered. */
export function opensPortsLater(options: ForwardingOptions): boolean {
  const { autoInbound, autoOutbound } = needsOf(options);
  return autoInbound || autoOutbound;
}

/** What the ports of a command line need, and those that pesto may add. */
function needsOf({ ports, controlSocket }: ForwardingOptions) {
  const mayChange = controlSocket !== null;
  const [inbound, outbound] = [ports.inbound, ports.outbound].map(({ tcp, udp }) => [
    ...tcp,
    ...udp,
  ]);
  const isAuto = ({ which }: (typeof inbound)[number]): boolean => which === "listening";
  return {
    resident: mayChange || inbound.length > 0 || outbound.length > 0,
    outbound: mayChange || outbound.length > 0,
    autoInbound: mayChange || inbound.some(isAuto),
    autoOutbound: mayChange || outbound.some(isAuto),
  };
}

function outboundTable(guest: Guest, resident: Resident): ForwardTable {
  const ports = guest.offerHost(socketsInside(resident), sessionInside(resident));
  return new ForwardTable(ports, outboundSockets);
}

function additionsOf(ports: PortForwards): readonly PestoChange[] {
  return DIRECTIONS.flatMap((direction) =>
    PROTOCOLS.flatMap((protocol) =>
      ports[direction][protocol].map(
        (each): PestoChange => ({ action: "add", direction, protocol, ports: each }),
      ),
    ),
  );
}

/** Follows what listens on the other side. @param socket closed when the guest is */
function follow(guest: Guest, socket: number, forwarding: Forwarding, direction: Direction): void {
  const table = forwarding.tables[direction];
  const others = forwarding.tables[direction === "inbound" ? "outbound" : "inbound"];
  if (table === null) return;
  const entries = forwarding.automatic[direction];
  const counts = ({ protocol, port, address }: Listener): boolean => {
    // What listens there for the other direction would lead back here.
    if (others?.has(protocol, port) === true) return false;
    return direction === "inbound" || address.isLoopback || address.isUnspecified;
  };
  const followed = new FollowedPorts({ table, entries, counts });
  scanListeners(guest, socket, (found) => followed.update(found, monotonicMs()));
}
