import { Loop } from "../loop/loop.js";
import { daemonPaths } from "../rpc/daemon-paths.js";
import type { AttachmentSpec, NetworkSpec } from "../rpc/messages.js";
import type { DaemonStatus, MemberReport, NetworkReport } from "../rpc/reports.js";
import { type Attachment, connect } from "./connect.js";
import type { Session } from "./session.js";
import { openOrStart } from "./start.js";
import { nameOfMember } from "./target.js";
import { unpublish } from "./unpublish.js";

export { UserError as SlipwayError } from "../base/errors.js";
export type { AttachmentSpec, NetworkSpec } from "../rpc/messages.js";
export type { DaemonStatus, MemberReport, NetworkReport } from "../rpc/reports.js";
export type { Attachment } from "./connect.js";

/** The process's one loop; it runs while a Slipway is open. */
const shared = { loop: new Loop(), users: 0 };

/**
 * The networks of this user. Methods reject with a SlipwayError, whose message is the line that the commands print.
 *
 *     const slipway = await Slipway.open();
 *     await slipway.createNetwork({ name: "web", ipv6: true });
 *     await slipway.connect({ network: "web", aliases: ["api"] }, child.pid, "app");
 *     slipway.close();
 */
export class Slipway {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** Connects to the daemon, and starts one if none runs. Keeps the process alive until close(). */
  static async open(): Promise<Slipway> {
    if (shared.users === 0) shared.loop.start();
    shared.users += 1;
    try {
      return new Slipway(await openOrStart(daemonPaths(), shared.loop, () => undefined));
    } catch (error) {
      release();
      throw error;
    }
  }

  createNetwork(spec: NetworkSpec): Promise<NetworkReport> {
    return this.#session.request("network.create", spec);
  }

  networks(): Promise<readonly NetworkReport[]> {
    return this.#session.request("network.list", {});
  }

  /** @param name its name, or at least 8 first digits of its id */
  inspectNetwork(name: string): Promise<NetworkReport> {
    return this.#session.request("network.inspect", { name });
  }

  async removeNetwork(name: string): Promise<void> {
    await this.#session.request("network.remove", { name });
  }

  /** Removes networks without members. @returns their names */
  pruneNetworks(): Promise<readonly string[]> {
    return this.#session.request("network.prune", {});
  }

  members(): Promise<readonly MemberReport[]> {
    return this.#session.request("member.list", {});
  }

  /**
   * Attaches a namespace to a network until it ends or is disconnected.
   * @param target the pid of a process of yours, the name of a member, or the file of a network namespace
   * @param name name of the member, by which others find it; null: the first digits of its id
   */
  connect(
    attachment: AttachmentSpec,
    target: number | string,
    name: string | null = null,
  ): Promise<Attachment> {
    return connect(this.#session, { attachment, name, target: `${target}` });
  }

  /** @param member its name or id, or the pid that connect() was given */
  async disconnect(network: string, member: number | string): Promise<void> {
    const name = await nameOfMember(this.#session, `${member}`);
    await this.#session.request("member.disconnect", { network, member: name });
  }

  /**
   * Publishes ports of a member.
   * @param ports in the format of `--publish`
   * @returns a line for each port of the host that was chosen at random
   */
  publish(member: string, ports: readonly string[]): Promise<readonly string[]> {
    return this.#session.request("member.publish", { member, ports: [...ports] });
  }

  /**
   * Stops publishing ports of a member; connections stay.
   * @param ports of the host, as in `slipway port rm`: `[ADDRESS:]PORT[-PORT][/udp]`
   */
  async unpublish(member: string, ports: readonly string[]): Promise<void> {
    for (const port of ports) await unpublish(this.#session, shared.loop, member, port);
  }

  status(): Promise<DaemonStatus> {
    return this.#session.request("status", {});
  }

  close(): void {
    this.#session.close();
    release();
  }
}

function release(): void {
  shared.users -= 1;
  if (shared.users === 0) shared.loop.stop();
}
