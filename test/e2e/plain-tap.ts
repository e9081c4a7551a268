/**
 * slirp4netns's command line served over a TAP without virtio header, such as an inherited descriptor may
 * be: the kernel does no checksums or segmentation. The TAP exists and is configured. A separate
 * program, bundled by integrity.test.ts.
 */

import { parseCommandLine } from "../../src/commandline/command-line.js";
import { ResolvConf } from "../../src/dns/resolv-conf.js";
import { guestConfig, RESOLV_CONF } from "../../src/host/guest-config.js";
import { printStatistics } from "../../src/host/output/statistics.js";
import { Loop } from "../../src/loop/loop.js";
import { adoptInherited } from "../../src/sys/inherited.js";
import { native } from "../../src/sys/native.js";

const invocation = parseCommandLine("slirp4netns", process.argv.slice(2));
if (invocation.kind !== "attach") throw new Error(`parsed as ${invocation.kind}`);
const { network, target, tap, readyFd } = invocation.config;
if (target.kind !== "namespace") throw new Error(`a target of kind ${target.kind}`);

const agent = native.openAgent(target.userns, target.netns);
const fd = native.agentOpenTap(agent, tap, false);
if (fd < 0) throw new Error(`${native.lastError().step}: ${fd}`);
native.closeAgent(agent);

const loop = new Loop();
const config = guestConfig(network, new ResolvConf(RESOLV_CONF), null);
const guest = loop.addGuest({ fd, vnetHeader: false }, config, () => process.exit(1));
process.on("SIGTERM", () => {
  printStatistics(guest);
  process.exit(0);
});
loop.start();
if (readyFd !== null) {
  adoptInherited("--ready-fd", readyFd);
  native.writeBytes(readyFd, Buffer.from("1"));
  native.close(readyFd);
}
