import { logText } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { Cluster } from "../../cluster/cluster.js";
import type { HostRecord, MemberRecord } from "../../cluster/records.js";
import type { DataPlane } from "../workers/plane.js";
import { hostFact, hostKey, remoteFact, remoteKey } from "./facts.js";

export interface RemotesContext {
  readonly cluster: Pick<Cluster, "follow" | "unfollow" | "self">;
  readonly plane: Pick<DataPlane, "learn" | "forget">;
}

/** Other hosts, and members of them on the networks that this host follows: tells the threads of both. */
export class Remotes {
  readonly #context: RemotesContext;
  /** By network, by id. */
  readonly #members = new Map<string, Map<string, MemberRecord>>();
  /** Resolves when the members of a network are known that it has. */
  readonly #following = new Map<string, Promise<void>>();
  /** Those that the cluster did not know, or the store was away. */
  readonly #waiting = new Set<string>();

  constructor(context: RemotesContext) {
    this.#context = context;
  }

  /** How many members of other hosts are known. */
  get count(): number {
    return [...this.#members.values()].reduce((sum, { size }) => sum + size, 0);
  }

  on(network: string): readonly MemberRecord[] {
    return [...(this.#members.get(network)?.values() ?? [])];
  }

  onHost(host: HostRecord): void {
    const { plane, cluster } = this.#context;
    const fact = hostFact(cluster.self, host);
    if (fact !== null) {
      plane.learn(hostKey(host.id), fact);
      return;
    }
    plane.forget(hostKey(host.id));
    const families = host.addresses.map(({ family }) => `IPv${family}`).join(" and ");
    log.warn(
      `host ${host.name} is reached by ${families} alone, which this host does not advertise: its members are not reached`,
    );
  }

  onHostGone(id: string): void {
    this.#context.plane.forget(hostKey(id));
  }

  onMember(member: MemberRecord): void {
    const { network, id } = member;
    const members = this.#members.get(network);
    // A network that is not followed any more.
    if (members === undefined) return;
    members.set(id, member);
    const { plane, cluster } = this.#context;
    plane.learn(remoteKey(network, id), remoteFact(cluster.self.id, member));
  }

  onMemberGone(network: string, id: string): void {
    if (this.#members.get(network)?.delete(id) !== true) return;
    this.#context.plane.forget(remoteKey(network, id));
  }

  /** Follows a network from now on. The threads know it. */
  follow(network: string): void {
    if (this.#following.has(network)) return;
    this.#members.set(network, new Map());
    this.#begin(network);
  }

  /** The store is there: networks are followed that could not be. */
  onConnected(): void {
    for (const network of this.#waiting) this.#begin(network);
  }

  /** Resolves when the members of a followed network are known, as far as the store says now. */
  async known(network: string): Promise<void> {
    await this.#following.get(network);
  }

  unfollow(network: string): void {
    if (!this.#following.delete(network)) return;
    this.#waiting.delete(network);
    this.#context.cluster.unfollow(network);
    for (const { id } of this.on(network)) this.onMemberGone(network, id);
    this.#members.delete(network);
  }

  #begin(network: string): void {
    this.#waiting.delete(network);
    this.#following.set(network, this.#followed(network));
  }

  async #followed(network: string): Promise<void> {
    try {
      await this.#context.cluster.follow(network);
    } catch (error) {
      log.info(`members on other hosts are not known yet: ${logText(error)}`);
      if (this.#members.has(network)) this.#waiting.add(network);
    }
  }
}
