import { hostname } from "node:os";
import { FAMILIES } from "../../base/address.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import { DEFAULT_PREFIX, planFor } from "../../config/address-plan.js";
import { DEFAULT_MEMORY_BUDGET, DEFAULT_MTU } from "../../config/constants.js";
import { DEFAULT_TIMEOUTS } from "../../config/guest-config.js";
import { DEFAULT_LIMITS } from "../../config/limits.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import { guestConfig, RESOLV_CONF, tapSettings } from "../../host/guest-config.js";
import { openCapture } from "../../host/output/capture-file.js";
import type { PreparedGuest } from "../../host/sole-guest.js";
import type { TapSettings } from "../../netns/tap.js";

interface PastaGuest {
  readonly prepared: PreparedGuest;
  /** null: the TAP is only opened. */
  readonly settings: TapSettings | null;
}

/** Begins to set up the guest of a process that has joined the broker. @throws UserError */
export function preparePasta({ addressing, pcap }: PastaConfig): PastaGuest {
  const tapName = addressing.ifname ?? "tap0";
  const host = new ResolvConf(RESOLV_CONF);
  const ipv6 = addressing.families.includes(FAMILIES[1]) ? "if the host has it" : "never";
  const config = guestConfig(
    {
      mtu: addressing.mtu ?? DEFAULT_MTU,
      ipv4: planFor(DEFAULT_PREFIX[4]),
      ipv6: { plan: planFor(DEFAULT_PREFIX[6]), when: ipv6 },
      hostLoopback: true,
      dns: { servers: [], search: [], records: [] },
      outbound: { 4: null, 6: null },
      udpFiltering: "endpoint",
      timeouts: DEFAULT_TIMEOUTS,
      memoryBudget: DEFAULT_MEMORY_BUDGET,
      limits: DEFAULT_LIMITS,
    },
    host,
    hostname(),
  );
  const capture = pcap === null ? null : openCapture(pcap, tapName);
  const prepared = {
    tapName,
    host,
    config,
    capture,
    publishesLater: false,
    sandbox: true,
    stats: false,
  };
  const settings = tapSettings(config, addressing.guestMac);
  return { prepared, settings: addressing.configure ? settings : null };
}
