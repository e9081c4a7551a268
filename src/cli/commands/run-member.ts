import { programName } from "../../base/program.js";
import type { InsideOptions } from "../../commandline/invocation.js";
import { hostnameOfMember } from "../../config/names.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { memberResolvConf } from "../../host/guest-resolv-conf.js";
import { Loop } from "../../loop/loop.js";
import { hostsFile } from "../../netns/hosts-file.js";
import { superviseChild } from "../../netns/jobs.js";
import { release, spawnHeld } from "../../netns/spawn.js";
import type { SubordinateIds } from "../../netns/subordinate-ids.js";
import { daemonPaths } from "../../rpc/daemon-paths.js";
import type { GivenMember } from "../../rpc/messages.js";
import { namespaceRef, netnsOf } from "../../rpc/namespaces.js";
import { Membership, type MembershipSpec } from "./membership.js";

/** A run whose command is attached to networks. */
export interface MemberRun extends MembershipSpec {
  readonly command: readonly [file: string, ...args: string[]];
  readonly keepId: boolean;
  readonly moreIds: SubordinateIds | null;
  readonly inside: InsideOptions;
  readonly search: readonly string[];
  readonly resolverOptions: readonly string[];
}

/**
 * Runs a command in new namespaces that the daemon attaches to networks. The process ends with the command's exit
 * status.
 * @throws UserError when a network cannot be joined; the command is not started then
 */
export async function runMember(run: MemberRun): Promise<void> {
  const { command, keepId, moreIds, inside } = run;
  const loop = new Loop();
  loop.start();
  const membership = new Membership(loop, daemonPaths(), run);
  const given = await membership.join();
  const resolvConf = resolvConfFor(run, given);
  // As with docker: the hostname is the name by which others find the member.
  const hostname = run.join.hostname ?? hostnameOfMember(given.name, given.id);
  const hosts = hostsFor(given, hostname);
  const child = spawnHeld({ command, keepId, moreIds, resolvConf, hosts, hostname, inside });
  const namespace = namespaceRef(netnsOf(child.pid), null, child.pid);
  const lines = await membership.enter(namespace);
  for (const line of lines) process.stderr.write(`${programName()}: ${line}`);
  superviseChild(child, (status) => process.exit(status));
  release(child);
}

function resolvConfFor(run: MemberRun, { attachments }: GivenMember): string {
  const host = new ResolvConf(RESOLV_CONF);
  return memberResolvConf(host.text, attachments, run.search, run.resolverOptions);
}

/** Entries of --add-host, then the member itself by hostname and name, as in docker's. */
function hostsFor({ name, hosts, attachments }: GivenMember, hostname: string): string {
  const given = hosts.map((record) => {
    const [host = "", address = ""] = record.split("=");
    return { address, names: [host] };
  });
  const names = [...new Set([hostname, name])];
  const own = attachments.flatMap(({ addresses }) =>
    addresses.map(({ address }) => ({ address, names })),
  );
  return hostsFile([...given, ...own]);
}
