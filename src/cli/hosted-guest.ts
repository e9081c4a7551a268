import { serveApiOf } from "../api/server.js";
import { partOfLog } from "../base/log.js";
import type { GuestConfig } from "../base/plan.js";
import type { PublishedRule } from "../flow/published.js";
import type { Loop } from "../loop.js";
import { publishPort } from "./publish.js";
import type { PublishOption } from "./publish-option.js";

/** A guest as a launcher has opened it. */
export interface HostedGuestSpec {
  /** A handle; it becomes the guest's. */
  readonly tap: number;
  readonly config: GuestConfig;
  readonly tapName: string;
  /** The process with which the network ends, or null. */
  readonly pid: number | null;
  readonly mostApiClients: number;
  readonly ports: readonly PublishOption[];
}

export interface HostedGuestHandlers {
  /** It has ended by itself. */
  readonly onGone: (why: string) => void;
  /** Its published ports are others now. */
  readonly onPorts: (rules: readonly PublishedRule[]) => void;
}

/** One that is served. */
export interface HostedGuest {
  /** What was said of the ports that we chose. */
  readonly report: string;
  /** Takes requests at a socket that listens; it becomes the guest's. */
  serveApi(listener: number): void;
  /** Ends it, and what it has open. */
  close(): void;
}

/**
 * Serves a guest whose TAP came from a launcher, with API and ports of its own: all that is done
 * with it where guests are served.
 * @throws UserError or RangeError, and it is closed then
 */
export function serveHostedGuest(
  loop: Loop,
  spec: HostedGuestSpec,
  handlers: HostedGuestHandlers,
): HostedGuest {
  const { tap, config, tapName, pid } = spec;
  const handle = { fd: tap, vnetHeader: true };
  const guest = loop.addGuest(handle, config, handlers.onGone);
  const subject = { guest, tap: tapName, pid, log: partOfLog() };
  let closeApi: (() => void) | null = null;
  const close = (): void => {
    guest.forwards.onChange = null;
    closeApi?.();
    loop.removeGuest(guest);
  };
  let report = "";
  try {
    for (const port of spec.ports) {
      publishPort(guest, port, false, (line) => {
        report += line;
      });
    }
  } catch (error) {
    close();
    throw error;
  }
  guest.forwards.onChange = () => handlers.onPorts(guest.forwards.rules);
  if (spec.ports.length > 0) guest.forwards.onChange();
  const serveApi = (listener: number): void => {
    const options = { mostClients: spec.mostApiClients, isOpenInside: false };
    closeApi = serveApiOf(listener, loop, subject, options);
  };
  return { report, serveApi, close };
}
