import type { DescriptorQuota } from "../../admission/descriptors.js";
import type { Family } from "../../base/address.js";
import type { DropCounters } from "../../base/drop.js";
import type { Limits } from "../../config/limits.js";
import type { FlowRecord } from "../../nat/flow-record.js";
import { Socket } from "../../sys/constants.js";
import type { openSessionSocket } from "../../sys/sockets/datagram-socket.js";
import type { TokenKind } from "../../sys/token.js";

/** socket(2) inside the guest's namespace. @returns a non-blocking handle or a negative errno */
export type MakeSocket = (domain: number, type: number, protocol: number) => number;

/** What the loopback relay needs of its guest. */
export interface LoopbackContext {
  /** Each client takes two descriptors. */
  readonly limits: Pick<Limits, "flows" | "mappings">;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** On the side of the servers. */
  readonly makeSocket: MakeSocket;
  /** A connected socket on the side of the clients; see openSessionSocket(). */
  readonly openSession: typeof openSessionSocket;
  /** Of the tokens of its sockets. */
  readonly kind: TokenKind;
  /** Of the connections. Outbound: the clients are inside, and the servers are the host's. */
  readonly direction: Direction;
}

export type Direction = FlowRecord["direction"];

export const DOMAIN: Readonly<Record<Family, number>> = { 4: Socket.Inet, 6: Socket.Inet6 };
