import type { DescriptorQuota } from "../../admission/descriptors.js";
import type { Family } from "../../base/address.js";
import type { DropCounters } from "../../base/drop.js";
import type { Limits } from "../../config/limits.js";
import { Socket } from "../../sys/constants.js";

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
  readonly makeSocket: MakeSocket;
}

export const DOMAIN: Readonly<Record<Family, number>> = { 4: Socket.Inet, 6: Socket.Inet6 };
