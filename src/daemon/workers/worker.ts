import { parentPort, workerData } from "node:worker_threads";
import { DescriptorLedger } from "../../admission/descriptor-ledger.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { NO_PORTS, type PortSet } from "../../base/port-set.js";
import { ipAddress } from "../../commandline/parsing/addresses.js";
import { distinctPorts, readPortSet, readPublish } from "../../commandline/publish-option.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import type { Guest } from "../../guest/guest.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { publishListening, publishPorts } from "../../host/ports/publishing.js";
import { Loop } from "../../loop/loop.js";
import { Executor } from "./executor.js";
import type { FromWorker, Publication, ToWorker } from "./messages.js";

/** A thread of the daemon: serves networks until the main thread ends it. */
export function serveNetworks(): void {
  const main = parentPort;
  if (main === null)
    throw new UserError("slipway-network is a name for threads of the daemon: run slipway");
  // Given by workerStarter().
  const { ledger, slot }: { ledger: Int32Array<SharedArrayBuffer>; slot: number } = workerData;
  const loop = new Loop(new DescriptorLedger(ledger, slot));
  const executor = new Executor({
    loop,
    upstream: new ResolvConf(RESOLV_CONF),
    publish,
    tell: (message: FromWorker) => main.postMessage(message),
  });
  main.on("message", (message: ToWorker) => executor.onMessage(message));
  loop.start();
}

function publish(
  guest: Guest,
  { ports, auto }: Publication,
  listening: number | null,
): readonly string[] {
  const options = distinctPorts(
    ports.map((text) => readPublish(text, "--publish")),
    "--publish",
  );
  const exclude = auto === null ? null : excludedPorts(auto.exclude);
  if (exclude !== null && listening === null) {
    throw new UserError("member.publish: no socket came along for auto");
  }
  const lines: string[] = [];
  publishPorts(guest, options, false, (line) => lines.push(line));
  if (exclude !== null && listening !== null) {
    const hosts = auto?.hosts.map((text) => ipAddress(text, "--host-address")) ?? [];
    const what = { exclude, hosts, toLoopback: false };
    publishListening(guest, listening, what, (line) => log.info(line.trimEnd()));
  }
  return lines;
}

/** @param text in the notation of --publish-exclude; "" excludes none */
function excludedPorts(text: string): PortSet {
  return text === "" ? NO_PORTS : readPortSet(text, "--publish-exclude");
}
