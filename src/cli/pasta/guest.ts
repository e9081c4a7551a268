import type { PastaConfig } from "../../commandline/pasta/config.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import { copyHost } from "../../host/copy/copy-host.js";
import { HostTables } from "../../host/copy/host-tables.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { openCapture } from "../../host/output/capture-file.js";
import { opensPortsLater } from "../../host/ports/forwarding.js";
import type { PreparedGuest } from "../../host/sole-guest.js";
import type { TapSettings } from "../../netns/tap.js";

interface PastaGuest {
  readonly prepared: PreparedGuest;
  readonly settings: TapSettings;
}

/** Begins to set up the guest of a process that has joined the broker. @throws UserError */
export function preparePasta(options: PastaConfig): PastaGuest {
  const { pcap } = options;
  const host = new ResolvConf(RESOLV_CONF);
  const tables = new HostTables();
  const { config, ifname: tapName, settings } = copyHost(options, tables.read(), host);
  tables.close();
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
  return { prepared, settings };
}
