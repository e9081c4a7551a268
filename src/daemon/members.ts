import { UserError } from "../base/errors.js";
import { interfaceName } from "../commandline/parsing/values.js";
import { findByName, isPid, shortId } from "../config/names.js";
import type { Loop } from "../loop/loop.js";
import type { GivenMember, NamespaceRef, Params } from "../rpc/messages.js";
import { hasEnded } from "../rpc/namespaces.js";
import { native } from "../sys/native.js";
import { randomId } from "../sys/random.js";
import type { TapStore } from "../sys/tap-store.js";
import { Attachment, type AttachmentContext } from "./attachment.js";
import { formatHosts } from "./hosts.js";
import { attachmentTo, type Member, newMember, outboundAttachmentOf, reserve } from "./member.js";
import type { Network } from "./network.js";
import type { Networks } from "./networks.js";
import type { DataPlane, ServedAttachment } from "./workers/plane.js";

/** What the members need of the daemon. */
export interface MembersContext {
  readonly loop: Loop;
  readonly networks: Networks;
  /** Where they are served. */
  readonly plane: DataPlane;
  /** Where TAPs outlive this daemon. */
  readonly store: TapStore;
  /** Called when what outlives the daemon may have changed: members, their networks and their published ports. */
  readonly onChange: () => void;
  /** Called when a member whose client has its TAPs has lost an attachment with the thread that served it. */
  readonly onLost: (member: Member) => void;
  /** Called when an attachment has ended by itself, and its thread lives. */
  readonly onDetached: (member: Member, attachment: Attachment) => void;
  /** Called when the published ports of a member have changed that does not stay: its client publishes them again. */
  readonly onPorts: (member: Member) => void;
  /** Called when an attachment whose gateway leads outside is served again: publishes the member's ports. */
  readonly onServedAgain: (member: Member) => Promise<void>;
}

/**
 * The members of all networks. A member that stays lives from its first attachment to the end of its last, or until its
 * process ends; any other lives until its client ends. The states between are those of its attachments (attachment.ts).
 */
export class Members {
  readonly #context: MembersContext;
  readonly #attachmentContext: AttachmentContext;
  readonly #members = new Map<string, Member>();
  /** Pidfds of the processes that members were named by. */
  readonly #pidfds = new Map<Member, number>();
  /** Of attachments of members that have been removed, until their addresses are free. */
  readonly #ends = new Map<Promise<void>, Network>();

  constructor(context: MembersContext) {
    const { plane, store } = context;
    this.#context = context;
    this.#attachmentContext = {
      plane,
      store,
      onEnded: (attachment, isLost) => this.#onEnded(attachment, isLost),
      onServedAgain: (attachment) => this.#onServedAgain(attachment),
      onPorts: (attachment, ports) => this.#onPorts(attachment, ports),
    };
  }

  get all(): readonly Member[] {
    return [...this.#members.values()];
  }

  on(network: Network): readonly Member[] {
    return this.all.filter(({ attachments }) =>
      attachments.some((each) => each.network === network),
    );
  }

  /**
   * By id, name, the first 8 digits or more of its id, or the PID of its process or of its client.
   * @throws UserError
   */
  get(name: string): Member {
    const found = this.byName(name) ?? (isPid(name) ? this.byProcess(Number(name)) : undefined);
    if (found !== undefined) return found;
    throw new UserError(`there is no member ${name}: slipway ps shows all members`);
  }

  byName(name: string): Member | undefined {
    return findByName(this.all, name);
  }

  /** By the PID of its process or of its client. */
  byProcess(pid: number): Member | undefined {
    return this.all.find(({ client, namespace }) => client === pid || namespace?.pid === pid);
  }

  /**
   * Reserves names and addresses for a new member, or for further attachments of the member whose namespace it is.
   * @throws UserError, and nothing is reserved then
   */
  join(spec: Params<"member.join">): GivenMember {
    if (spec.stays && spec.attachments.length === 0) {
      throw new UserError("a member that stays needs a network: give one");
    }
    const attachments = this.#takeBack(spec);
    const member = this.#inNamespace(spec.namespace) ?? this.#newMember(spec);
    const before = member.attachments.length;
    try {
      for (const wanted of attachments) {
        const network = this.#context.networks.getOrDefault(wanted.network);
        const reservation = reserve(network, member, wanted);
        member.attachments.push(new Attachment(this.#attachmentContext, member, reservation));
      }
    } catch (error) {
      for (const attachment of member.attachments.splice(before)) void attachment.end(false);
      throw error;
    }
    this.#members.set(member.id, member);
    this.#tellNetworks(member);
    for (const { network } of member.attachments) {
      this.#context.plane.prepare(network.definition.id);
    }
    member.labels = { ...member.labels, ...spec.labels };
    this.#watch(member);
    const given = member.attachments.slice(before).map((each) => each.given);
    const { id, name, hosts } = member;
    return { id, name, attachments: given, hosts: formatHosts(hosts) };
  }

  /** Of whom join() makes a member, or adds attachments to. An id that is given then stays. */
  identify({ id, name, namespace }: Params<"member.join">): Pick<Member, "id" | "name"> {
    const existing = this.#inNamespace(namespace);
    if (existing !== undefined) return { id: existing.id, name: existing.name };
    const reserved = id === null ? undefined : this.#members.get(id);
    const isFree = id !== null && (reserved === undefined || reserved.awaitedIn !== null);
    const own = isFree ? id : randomId();
    return { id: own, name: name ?? shortId(own) };
  }

  /**
   * Reserves what a member had with the daemon before, until its client joins again by its id, or its process ends.
   * @param namespace has the process
   * @param ports are to be published again by its client
   * @throws UserError, and nothing is reserved then
   */
  awaitReturn(
    spec: Params<"member.join">,
    namespace: NamespaceRef,
    ports: readonly string[],
  ): void {
    const member = this.get(this.join({ ...spec, namespace: null }).id);
    member.awaitedIn = namespace;
    member.publishing = ports;
    this.#watch(member);
    // Another process may have got the PID before it was watched.
    if (hasEnded(namespace)) this.remove(member);
  }

  /**
   * Frees what is reserved for a member that joins again.
   * @returns the attachments that it joins by: others may have ended some meanwhile
   */
  #takeBack({ id, attachments }: Params<"member.join">): Params<"member.join">["attachments"] {
    const reserved = id === null ? undefined : this.#members.get(id);
    if (reserved === undefined || reserved.awaitedIn === null) return attachments;
    const networks = reserved.attachments.map(({ network }) => network);
    this.remove(reserved);
    return attachments.filter(({ network }) =>
      networks.some(({ id, name }) => network === name || network === id),
    );
  }

  #newMember(spec: Params<"member.join">): Member {
    const networks = spec.attachments.map(({ network }) => network);
    return newMember(spec, this.all, () =>
      this.#context.networks.reachOf(networks, spec.hostLoopback),
    );
  }

  /**
   * Has an attachment served.
   * @param tap stays the caller's, who may close it when the promise settles
   * @returns it
   * @throws UserError
   */
  async attach(
    { member: id, network, ifname, namespace }: Params<"member.attach">,
    tap: number,
  ): Promise<Attachment> {
    interfaceName(ifname, "ifname");
    const member = this.get(id);
    const attachment = attachmentTo(member, network);
    if (attachment.served !== null) {
      throw new UserError(`${member.name} is already on network ${network}`);
    }
    if (namespace !== null) member.namespace = namespace;
    await attachment.attach(ifname, tap);
    this.#context.onChange();
    // Those of an attachment before, which is gone.
    if (member.publishing.length > 0) await this.#onServedAgain(attachment);
    return attachment;
  }

  /**
   * Ends an attachment. Its published ports go over to the next that leads outside.
   * @returns it
   * @throws UserError when the member is not on that network
   */
  async disconnect(member: Member, network: Network): Promise<Attachment> {
    const attachment = attachmentTo(member, network.name);
    const isOutbound = attachment === outboundAttachmentOf(member);
    this.#drop(member, attachment);
    this.#context.onDetached(member, attachment);
    const next = outboundAttachmentOf(member);
    if (isOutbound && next !== undefined && next.served !== null) await this.#onServedAgain(next);
    return attachment;
  }

  /** Ends an attachment that the member can no longer have, if it is there. @param id of the member */
  end(id: string, network: Network): void {
    const attachment = this.#members.get(id)?.attachments.find((each) => each.network === network);
    if (attachment !== undefined) this.#onEnded(attachment, false);
  }

  /**
   * Ends an attachment whose TAP has not arrived. Its namespace may be gone, and the next namespace that gets the same
   * inode would be taken for this member.
   */
  abandon(id: string, network: string): void {
    const member = this.#members.get(id);
    const attachment = member?.attachments.find((each) => each.network.name === network);
    if (member !== undefined && attachment?.served === null) this.#drop(member, attachment);
  }

  /**
   * Resolves when the addresses of members that have been removed are free: after DRAIN_LIMIT at most.
   * @param on the network that they were on; null: any
   */
  async ended(on: Network | null): Promise<void> {
    const ends = [...this.#ends].filter(([, network]) => on === null || network === on);
    await Promise.all(ends.map(([end]) => end));
  }

  /** @param isFinished its command has ended: the frames that it sent last are still passed on */
  remove(member: Member, isFinished = false): void {
    if (!this.#members.delete(member.id)) return;
    for (const attachment of member.attachments.splice(0)) this.#end(attachment, isFinished);
    this.#context.plane.forget(member.id);
    this.#unwatch(member);
    this.#context.onChange();
  }

  /**
   * Has a client's questions about a member's guest answered as at an API socket.
   * @param network at which attachment; null: at the one that ports are published on, or else at the first
   * @param socket stays the caller's
   * @throws UserError
   */
  async serveApi(member: Member, network: string | null, socket: number): Promise<void> {
    const outbound = outboundAttachmentOf(member);
    const attachment =
      network === null ? (outbound ?? member.attachments.at(0)) : attachmentTo(member, network);
    if (attachment === undefined) throw new UserError(`${member.name} is on no network`);
    const { served, ifname } = attachment;
    if (served === null || ifname === null) {
      throw new UserError(`${member.name} is not up on ${attachment.network.name} yet: try again`);
    }
    const pid = member.namespace?.pid ?? null;
    await served.serveApi({ socket, ifname, pid, mayPublish: attachment === outbound });
  }

  /** The attachment that ports are published on. @throws UserError when there is none */
  outboundAttachment(member: Member): ServedAttachment {
    const served = outboundAttachmentOf(member)?.served;
    if (served !== null && served !== undefined) return served;
    const where = member.attachments.length === 0 ? "no network" : "internal networks only";
    throw new UserError(
      `${member.name} is on ${where}: ports are published on networks that lead outside`,
    );
  }

  #onEnded(attachment: Attachment, isLost: boolean): void {
    const member = this.#members.get(attachment.member.id);
    if (member === undefined) return;
    this.#drop(member, attachment);
    if (!isLost) this.#context.onDetached(member, attachment);
    else if (!member.stays) this.#context.onLost(member);
  }

  #onPorts(attachment: Attachment, ports: readonly string[]): void {
    const member = this.#members.get(attachment.member.id);
    if (member === undefined || attachment !== outboundAttachmentOf(member)) return;
    member.publishing = ports;
    this.#context.onChange();
    if (!member.stays) this.#context.onPorts(member);
  }

  async #onServedAgain(attachment: Attachment): Promise<void> {
    const member = this.#members.get(attachment.member.id);
    if (member === undefined || attachment !== outboundAttachmentOf(member)) return;
    await this.#context.onServedAgain(member);
  }

  #drop(member: Member, attachment: Attachment): void {
    const index = member.attachments.indexOf(attachment);
    if (index < 0) return;
    member.attachments.splice(index, 1);
    void attachment.end(false);
    if (member.attachments.length === 0 && member.stays) {
      this.remove(member);
      return;
    }
    this.#tellNetworks(member);
    this.#context.onChange();
  }

  #end(attachment: Attachment, isFinished: boolean): void {
    const end = attachment.end(isFinished);
    this.#ends.set(end, attachment.network);
    void end.then(() => this.#ends.delete(end));
  }

  /** Tells the threads whose names a member may resolve. */
  #tellNetworks({ id, attachments }: Member): void {
    const networks = attachments.map(({ network }) => network.definition.id);
    this.#context.plane.learn(id, { kind: "member", id, networks });
  }

  /** The member of a namespace: there is one, on however many networks. */
  #inNamespace(namespace: NamespaceRef | null): Member | undefined {
    if (namespace === null) return undefined;
    return this.all.find((member) => member.namespace?.id === namespace.id);
  }

  /** A member that was named by a process ends with it, unless it ends with its client. */
  #watch(member: Member): void {
    const { namespace, awaitedIn, stays } = member;
    const pid = (stays ? namespace : awaitedIn)?.pid ?? null;
    if (pid === null || this.#pidfds.has(member)) return;
    // #syscalls daemon: pidfd_open statx newfstatat readlink
    const pidfd = native.pidfdOpen(pid);
    if (pidfd < 0) {
      this.remove(member);
      throw new UserError(
        `process ${pid} ended while it was being attached: give the PID of a running process`,
      );
    }
    this.#pidfds.set(member, pidfd);
    this.#context.loop.watchFd(pidfd, () => this.remove(member));
  }

  #unwatch(member: Member): void {
    const pidfd = this.#pidfds.get(member);
    if (pidfd === undefined) return;
    this.#pidfds.delete(member);
    this.#context.loop.unwatch(pidfd);
    native.close(pidfd);
  }
}
