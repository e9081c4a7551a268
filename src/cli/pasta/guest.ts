import { monotonicMs } from "../../base/clock.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import type { AddressPlan } from "../../config/address-plan.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import { copyHost } from "../../host/copy/copy-host.js";
import { followHost } from "../../host/copy/following.js";
import { HostTables } from "../../host/copy/host-tables.js";
import { HostWatch } from "../../host/copy/host-watch.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { openCapture } from "../../host/output/capture-file.js";
import { opensPortsLater } from "../../host/ports/forwarding.js";
import type { PreparedGuest, SoleGuest } from "../../host/sole-guest.js";
import type { Resident } from "../../netns/agent.js";
import type { TapSettings } from "../../netns/tap.js";
import type { RouteTables } from "../../wire/rtnetlink-dump.js";

interface PastaGuest {
  readonly prepared: PreparedGuest;
  readonly settings: TapSettings;
  /**
   * Has the guest have what the host has from now on, unless the user does not want that. Call it before the sandbox is
   * entered. @param resident in its namespace; null: that is none of this machine's
   */
  readonly follow: (sole: SoleGuest, resident: Resident | null) => void;
}

/** Begins to set up the guest of a process that has joined the broker. @throws UserError */
export function preparePasta(options: PastaConfig): PastaGuest {
  const { pcap } = options;
  const host = new ResolvConf(RESOLV_CONF);
  const { watch, tables } = readHost(options);
  const copy = copyHost(options, tables, host);
  const { config, ifname: tapName, settings } = copy;
  const capture = pcap === null ? null : openCapture(pcap, tapName);
  const prepared = {
    tapName,
    host,
    config,
    capture,
    publishesLater: opensPortsLater(options),
    sandbox: true,
    stats: false,
  };
  return {
    prepared,
    settings,
    follow: ({ loop, guest }, resident) => {
      if (watch === null) return;
      const replan = (plans: readonly AddressPlan[]) => guest.replan(plans, monotonicMs());
      watch.start(loop);
      followHost({ watch, options, host, copy, resident, replan });
    },
  };
}

function readHost({ addressing }: PastaConfig): { watch: HostWatch | null; tables: RouteTables } {
  if (addressing.follows) {
    const watch = new HostWatch();
    return { watch, tables: watch.read() };
  }
  const reader = new HostTables();
  const tables = reader.read();
  reader.close();
  return { watch: null, tables };
}
