import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { programName } from "../../base/program.js";
import { Session, type SessionEnd } from "../../client/session.js";
import { openOrStart } from "../../client/start.js";
import { type AttachmentTap, openAttachment } from "../../client/taps.js";
import type { InsideOptions } from "../../commandline/invocation.js";
import { hostnameOfMember, shortId } from "../../config/names.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { memberResolvConf } from "../../host/guest-resolv-conf.js";
import { openListenerSocket } from "../../host/ports/publishing.js";
import { Loop } from "../../loop/loop.js";
import { hostsFile } from "../../netns/hosts-file.js";
import { superviseChild } from "../../netns/jobs.js";
import { release, spawnHeld } from "../../netns/spawn.js";
import type { SubordinateIds } from "../../netns/subordinate-ids.js";
import { type DaemonPaths, daemonPaths } from "../../rpc/daemon-paths.js";
import type { GivenMember, JoinSpec, NamespaceRef } from "../../rpc/messages.js";
import { namespaceRef } from "../../rpc/namespaces.js";
import { native } from "../../sys/native.js";

/** Between two attempts to join again, in ms: after the daemon was lost, and after `daemon stop`. */
const LOST_RETRY = 100;
const STOPPED_RETRY = 500;

/** A run whose command is attached to networks. */
export interface MemberRun {
  readonly command: readonly [file: string, ...args: string[]];
  readonly keepId: boolean;
  readonly moreIds: SubordinateIds | null;
  readonly inside: InsideOptions;
  readonly join: JoinSpec;
  /** In the notation of --publish. */
  readonly publish: readonly string[];
  /** Ports that are not published automatically, in the notation of --publish-exclude; null: none are. */
  readonly autoExclude: string | null;
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
  await membership.enter(namespaceRef(`/proc/${child.pid}/ns/net`, null, child.pid));
  superviseChild(child, (status) => process.exit(status));
  release(child);
}

/** A command's place on its networks: what the daemon assigned, and what joining the next daemon takes. */
class Membership {
  readonly #loop: Loop;
  readonly #paths: DaemonPaths;
  readonly #run: MemberRun;
  #session: Session | null = null;
  #given: GivenMember | null = null;
  #namespace: NamespaceRef | null = null;
  /** In the order of the attachments. They stay open, so that the interfaces outlive the daemon. */
  #taps: readonly AttachmentTap[] = [];

  constructor(loop: Loop, paths: DaemonPaths, run: MemberRun) {
    this.#loop = loop;
    this.#paths = paths;
    this.#run = run;
  }

  /** Has the daemon assign names and addresses. */
  async join(): Promise<GivenMember> {
    const session = await openOrStart(this.#paths, this.#loop, (how) => this.#onEnd(how));
    session.onWarning = (warning) => log.warn("%s", warning);
    this.#session = session;
    this.#given = await session.request("member.join", this.#run.join);
    return this.#given;
  }

  /** Makes the interfaces, has the daemon serve them and prints the ports that are published. */
  async enter(namespace: NamespaceRef): Promise<void> {
    this.#namespace = namespace;
    const { given } = this;
    this.#taps = given.attachments.map((each, index) =>
      openAttachment(namespace, { ...each, ifname: each.ifname ?? `eth${index}` }),
    );
    const lines = await this.#attach();
    for (const line of lines) process.stderr.write(`${programName()}: ${line}`);
  }

  get given(): GivenMember {
    if (this.#given === null) throw new Error("not joined yet");
    return this.#given;
  }

  async #attach(): Promise<readonly string[]> {
    const session = this.#session;
    if (session === null) throw new UserError("the daemon has ended: try again");
    const { id: member, attachments } = this.given;
    for (const [index, { network }] of attachments.entries()) {
      const { ifname, tap } = this.#taps[index];
      const params = { member, network, ifname, namespace: this.#namespace };
      await session.request("member.attach", params, tap);
    }
    const { publish, autoExclude } = this.#run;
    const auto = autoExclude === null ? null : { exclude: autoExclude };
    if (publish.length === 0 && auto === null) return [];
    const params = { member, ports: [...publish], auto };
    if (auto === null || this.#namespace === null) return session.request("member.publish", params);
    const listening = openListenerSocket(this.#namespace);
    try {
      return await session.request("member.publish", params, listening);
    } finally {
      native.close(listening);
    }
  }

  #onEnd(how: SessionEnd): void {
    this.#session = null;
    // Before the interfaces are made, the pending request fails instead.
    if (this.#taps.length > 0) void this.#rejoin(how);
  }

  /** Gets names, addresses and attachments back from the next daemon while the command runs on. */
  async #rejoin(how: SessionEnd): Promise<void> {
    let isTold = false;
    for (let state = how; ; ) {
      await delay(state === "lost" ? LOST_RETRY : STOPPED_RETRY);
      try {
        if (await this.#tryAgain(state)) return;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (!isTold) log.warn(`not back on the network yet: ${error.message}`);
        isTold = true;
        // Retried: another command may be starting the daemon, or another member have the name for now.
        state = how;
      }
    }
  }

  /** Starts a lost daemon again, but not one that was stopped. @returns whether there was a daemon to join */
  async #tryAgain(how: SessionEnd): Promise<boolean> {
    const onEnd = (end: SessionEnd): void => this.#onEnd(end);
    const session =
      how === "lost"
        ? await openOrStart(this.#paths, this.#loop, onEnd)
        : await Session.open(this.#paths.socket, this.#loop, onEnd);
    if (session === null) return false;
    try {
      const { id, name, hosts } = this.given;
      const attachments = this.given.attachments.map(
        ({ network, addresses, mac, aliases }, index) => ({
          network,
          mac,
          // The daemon adds it again.
          aliases: aliases.filter((each) => each !== shortId(id)),
          addresses: addresses.map(({ address }) => address),
          ifname: this.#taps[index].ifname,
        }),
      );
      const namespace = this.#namespace;
      const spec = { ...this.#run.join, id, name, hosts: [...hosts], namespace, attachments };
      this.#given = await session.request("member.join", spec);
      this.#session = session;
      await this.#attach();
      return true;
    } catch (error) {
      this.#session = null;
      session.close();
      throw error;
    }
  }
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
