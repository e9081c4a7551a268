import { closeSync, readFileSync } from "node:fs";
import { log } from "../base/log.js";
import type { Guest } from "../guest/guest.js";
import type { PublishedRule } from "../nat/published-port.js";
import { native } from "../sys/native.js";
import type { Link } from "./links/link.js";
import { parseSnapshot } from "./ports/port-snapshot.js";
import { failureText } from "./ports/publish-failure.js";

/** What the launcher has kept of a guest whose daemon has died: native/launcher/shared/protocol.h. */
export interface Takeover extends Link {
  /** The API's socket, which listens; null when there is none. */
  readonly apiSocket: number | null;
}

/** @param descriptors SLIPWAY_TAKEN: TAP, API's socket, file of the port snapshot; -1 where there is none */
export function takeOver(descriptors: string): Takeover {
  const [tap = -1, api = -1, kept = -1] = descriptors.split(",").map(Number);
  native.adoptFd(tap);
  const vnetHeader = native.setUpTap(tap) === 1;
  if (api >= 0) native.adoptFd(api);
  const ports = kept < 0 ? [] : readSnapshot(kept);
  return {
    tap: { fd: tap, vnetHeader },
    apiSocket: api < 0 ? null : api,
    start: (_loop, guest) => publishAgain(guest, ports),
  };
}

/** Warns of each port that cannot be published again, and goes on. */
function publishAgain(guest: Guest, ports: readonly PublishedRule[]): void {
  for (const rule of ports) {
    const result = guest.forwards.add(rule, rule.id);
    if (result < 0) log.warn(failureText(rule.host, rule.hostPort, -result));
  }
}

function readSnapshot(fd: number): readonly PublishedRule[] {
  const text = readFileSync(fd, "utf8");
  closeSync(fd);
  return parseSnapshot(text);
}
