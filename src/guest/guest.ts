import { BulkMeter } from "../admission/bulk-meter.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import { LimitReports } from "../admission/limit-reports.js";
import type { Address, Family } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import { DropCounters, DropReason } from "../base/drop.js";
import { type AddressPlan, findPlan, isGuests, planOfFamily } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { type Engine, type EngineFigures, noFigures, type Uploads } from "../engine/engine.js";
import type { CaptureFile } from "../frames/capture.js";
import type { StreamRest } from "../frames/frame-stream.js";
import type { FlowRecord } from "../nat/flow-record.js";
import type { SwitchPort } from "../network/switch.js";
import { type ForwardContext, type ListenerSockets, PortForwards } from "../publish/forwards.js";
import { LoopbackRelay, type MakeSocket } from "../publish/loopback/relay.js";
import { DNS_SERVICE } from "../services/index.js";
import type { StackStatistics } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { openSessionSocket } from "../sys/sockets/datagram-socket.js";
import { TokenKind } from "../sys/token.js";
import { DataPath } from "./data-path.js";
import { GuestServices } from "./guest-services.js";
import { Ingress } from "./ingress.js";
import type { TapHandle } from "./tap-handle.js";
import { TapReader } from "./tap-reader.js";

export type GuestStatistics = Readonly<StackStatistics & EngineFigures>;

/** A configuration whose plans replan() changes. */
type Settings = Omit<GuestConfig, "plans"> & { plans: GuestConfig["plans"] };

/**
 * One guest: a network namespace, its TAP, its stack and its flows. It knows no other guest. The loop tells it
 * what happened and asks when it wants to be called again.
 */
export class Guest {
  readonly #config: Settings;
  readonly drops = new DropCounters();
  /** When it began, in ms of monotonicMs(). */
  readonly since = monotonicMs();
  /** The published ports. */
  readonly forwards: PortForwards;
  readonly #index: number;
  readonly #tap: TapHandle;
  readonly #reader: TapReader;
  /** Of a network's switch; null: the guest is alone. */
  readonly #port: SwitchPort | null;
  readonly #quota: DescriptorQuota;
  readonly #reports: LimitReports;
  readonly #bulk = new BulkMeter();
  readonly #services: GuestServices;
  // Both are built again when the stack has failed.
  #path: DataPath;
  #ingress: Ingress;
  /** null: no published port leads to the guest's loopback. */
  #loopback: LoopbackRelay | null = null;
  /** null: no port of the host appears on the guest's loopback. */
  #hostPorts: { readonly ports: PortForwards; readonly relay: LoopbackRelay } | null = null;
  /** In the order of their turns: those that begin flows come before those that carry them. */
  #engines: readonly Engine[] = [];
  /** Those of them that have takeMoved(), which is called after each turn. */
  #movers: readonly Engine[] = [];
  /** By the kind of their tokens. */
  #engineOf: readonly (Engine | undefined)[] = [];
  /** Whether other guests wanted something, too, when the TAP was last read. */
  #isShared = false;

  /**
   * @param index the guest's number in tokens
   * @param tap the guest's from now on: close() closes it
   * @param quota limits the guest's descriptors; the caller closes it
   * @param captureFile gets every frame, both ways; the guest's from now on, too
   * @param port takes the frames for other members; null: there are none
   */
  constructor(
    index: number,
    tap: TapHandle,
    config: GuestConfig,
    quota: DescriptorQuota,
    captureFile: CaptureFile | null = null,
    port: SwitchPort | null = null,
  ) {
    this.#config = { ...config };
    this.#quota = quota;
    this.#index = index;
    this.#port = port;
    this.#tap = tap;
    this.#reader = new TapReader(tap, index, port);
    this.#reports = new LimitReports(this.drops, config.limits);
    this.#services = new GuestServices(this.#config, this.#bulk);
    this.#path = this.#makePath(captureFile, null);
    this.#ingress = new Ingress(this.#path, this.#services.responders);
    this.forwards = new PortForwards(this.#forwardContext());
    this.#listEngines();
    this.watchTap();
  }

  /** The same object for as long as the guest lives. */
  get config(): GuestConfig {
    return this.#config;
  }

  #makePath(captureFile: CaptureFile | null, rest: StreamRest | null): DataPath {
    const path = new DataPath(
      {
        ...this.#common(),
        tap: this.#tap,
        reports: this.#reports,
        bulk: this.#bulk,
        dnsAdmission: this.#services.admissionTo(DNS_SERVICE),
      },
      captureFile,
      rest,
    );
    const { memory, stack, frameHeader } = path;
    this.#port?.open({ fd: this.#tap.fd, memory, stack, frameHeader });
    return path;
  }

  #forwardContext(): ForwardContext {
    const { tcp, datagrams, neighbors } = this.#path;
    return { ...this.#common(), tcp, datagrams, neighbors };
  }

  #common(): Pick<ForwardContext, "config" | "drops" | "quota" | "guest"> {
    return { config: this.config, drops: this.drops, quota: this.#quota, guest: this.#index };
  }

  #listEngines(): void {
    const { ports = null, relay = null } = this.#hostPorts ?? {};
    const engines = [this.forwards, ports, ...this.#path.engines, this.#loopback, relay];
    this.#engines = engines.filter((engine) => engine !== null);
    this.#movers = this.#engines.filter(({ takeMoved }) => takeMoved !== undefined);
    const byKind: Engine[] = [];
    for (const engine of this.#engines) byKind[engine.kind] = engine;
    this.#engineOf = byKind;
  }

  /** Has epoll report frames. Called again when another descriptor stands behind that of the TAP. */
  watchTap(): void {
    this.#reader.watch();
  }

  /** @param wanted whether epoll reports frames; it reports a deleted TAP in any case */
  setTapWanted(wanted: boolean): void {
    this.#reader.setWanted(wanted);
  }

  /** From now on published ports may lead to the guest's loopback. @param makeSocket makes sockets inside */
  reachLoopback(makeSocket: MakeSocket): void {
    const { limits } = this.config;
    this.#loopback = new LoopbackRelay({
      ...this.#common(),
      limits,
      makeSocket,
      openSession: openSessionSocket,
      kind: TokenKind.Loopback,
      direction: "inbound",
    });
    this.forwards.useLoopback(this.#loopback);
    this.#listEngines();
  }

  /**
   * From now on ports of the host's loopback may appear on the guest's.
   * @param sockets listen inside
   * @param openSession connects a socket inside, see openSessionSocket()
   * @returns these ports: in their rules, `host` is an address of the guest's loopback, and `guest` one of the host's
   */
  offerHost(sockets: ListenerSockets, openSession: typeof openSessionSocket): PortForwards {
    const { limits } = this.config;
    const relay = new LoopbackRelay({
      ...this.#common(),
      limits,
      makeSocket: native.socket,
      openSession,
      kind: TokenKind.HostLoopback,
      direction: "outbound",
    });
    const ports = new PortForwards(this.#forwardContext(), TokenKind.HostPort, sockets);
    ports.useLoopback(relay);
    this.#hostPorts = { ports, relay };
    this.#listEngines();
    return ports;
  }

  /**
   * Builds the data path again when the stack has failed. Connections are reset on both sides; UDP and ping start
   * over. The TAP, leases, published ports and drop counters stay as they are.
   */
  restart(): void {
    const failed = this.#path;
    const connections = failed.tcp.connections();
    failed.abandon();
    this.#path = this.#makePath(failed.capture?.rest() ?? null, failed.stream?.rest() ?? null);
    this.#ingress = new Ingress(this.#path, this.#services.responders);
    this.forwards.resume(this.#forwardContext());
    this.#hostPorts?.ports.resume(this.#forwardContext());
    this.#listEngines();
    for (const connection of connections) this.#path.provokeReset(connection);
  }

  /**
   * Gives the guest other addresses, routes and neighbours, as the host's have changed: for each decision from now on.
   * Flows go on; published ports lead to the guest's new address. Leases are forgotten, and router advertisements tell of
   * the change. The addresses in the namespace are the caller's affair. To be called in a callback of Loop.watch(), so that
   * the guest has a turn afterwards.
   */
  replan(plans: readonly AddressPlan[], now: number): void {
    const former = this.config.plans;
    this.#config.plans = plans;
    this.#services.replace(this.#path.writer, now);
    this.#ingress = new Ingress(this.#path, this.#services.responders);
    for (const { guest } of former) {
      const plan = findPlan(plans, guest.family);
      if (plan !== null && !isGuests(plan, guest)) this.forwards.readdress(guest, plan.guest);
    }
  }

  /** Ends all flows and closes the TAP. */
  close(): void {
    for (const engine of this.#engines) engine.close();
    this.#port?.close();
    this.#path.capture?.close();
    native.close(this.#tap.fd);
    this.#path.release();
  }

  /** As close(), without asking anything of the stack, which has failed. */
  abandon(): void {
    this.#path.tcp.abandon();
    this.close();
  }

  /** The guest's address of this family; without one, its first address. */
  addressFor(family: Family): Address {
    return planOfFamily(this.config.plans, family).guest;
  }

  /** Figures for status and tests. */
  statistics(): GuestStatistics {
    const figures = noFigures();
    for (const engine of this.#engines) engine.addFigures?.(figures);
    return { ...this.#path.stack.statistics(), ...figures };
  }

  /** Connections and mappings, each as it is when the generator reaches it: they may change in between. */
  *flows(): Generator<FlowRecord> {
    for (const engine of this.#engines) if (engine.records) yield* engine.records();
  }

  /** Adds what the guest has under way to the host by TCP. */
  addUploads(uploads: Uploads): void {
    for (const engine of this.#engines) engine.addUploads?.(uploads);
  }

  /** Number of its descriptors of the host, without the TAP. */
  get descriptors(): number {
    let count = 0;
    for (let index = 0; index < this.#engines.length; index += 1) {
      count += this.#engines[index].descriptors;
    }
    return count;
  }

  /** How many of these endOldest() can close. */
  get endable(): number {
    let count = 0;
    for (const engine of this.#engines) count += engine.endable;
    return count;
  }

  /**
   * Ends what has been idle for longest, of the engine that has most, as others need a descriptor: a flood of one
   * kind costs the other kinds nothing.
   * @returns false when there is nothing
   */
  endOldest(now: number): boolean {
    let largest: Engine | null = null;
    for (const engine of this.#engines) {
      if (engine.endable > 0 && engine.endable >= (largest?.endable ?? 0)) largest = engine;
    }
    if (largest === null) return false;
    this.#reports.report(DropReason.LimitDescriptors, now);
    return largest.endOldest();
  }

  /** Whether the guest moves bulk, or the last batch ended before the TAP was empty. */
  get isHeavy(): boolean {
    return this.#reader.isHeavy;
  }

  /** Whether neither the guest nor the member that it sends to has been heavy since then, in ms. */
  isModest(since: number): boolean {
    return this.#reader.isModest(since);
  }

  /** Bytes from the guest, without those for other members, and from the host since the last call. */
  takeMoved(): number {
    let moved = this.#reader.takeMoved();
    for (let index = 0; index < this.#movers.length; index += 1) {
      moved += this.#movers[index].takeMoved?.() ?? 0;
    }
    return moved;
  }

  /** Bytes that crossed to other members since the last call, or were refused. */
  takeSwitched(): number {
    return this.#reader.takeSwitched();
  }

  /**
   * Reads a batch of frames from the TAP.
   * @param isShared whether other guests want something, too
   * @returns 1 when the guest wants its turn, 0 when all frames were for other members and it does not, or a
   * negative errno of the TAP
   */
  onTap(now: number, isShared: boolean): number {
    const { icmpErrors, datagrams } = this.#path;
    const reader = this.#reader;
    this.#isShared = isShared;
    icmpErrors.advance(now);
    reader.flush(this.#path, true);
    const before = reader.moved;
    const result = reader.read(this.#path, this.#ingress, now, isShared);
    this.#port?.flush();
    if (reader.moved === before) return result;
    datagrams.flush();
    return result < 0 && result !== -Errno.EAGAIN ? result : 1;
  }

  /** Handles an epoll event of one of the guest's descriptors other than the TAP. */
  onEvents(kind: TokenKind, id: number, events: number, now: number): void {
    this.#engineOf[kind]?.onEvents(id, events, now);
  }

  /**
   * After all events of a wake-up: carries out what the stack reported, gives every engine its turn and frees what
   * ended.
   * @returns when the guest wants its next turn, in ms; NEVER when nothing is under way
   */
  turn(now: number): number {
    const path = this.#path;
    // What a stream has received is not reported again.
    if (path.stream?.hasFrame) this.onTap(now, this.#isShared);
    path.icmpErrors.advance(now);
    this.#bulk.note(this.#reader.moved + path.tcp.received, now);
    path.takeStackEvents(now);
    const engines = this.#engines;
    for (let index = 0; index < engines.length; index += 1) {
      engines[index].turn(now, this.#isShared);
    }
    path.runTimers(now);
    this.#services.announce(path.writer, now);
    path.takeStackEvents(now);
    for (let index = 0; index < engines.length; index += 1) engines[index].reap();
    path.flushAcks();
    this.#reader.flush(path, false);
    return path.stream?.hasFrame ? now : this.#nextTurn(now);
  }

  #nextTurn(now: number): number {
    let next = Math.min(this.#path.nextAt(now), this.#services.nextAt);
    for (let index = 0; index < this.#engines.length; index += 1) {
      next = Math.min(next, this.#engines[index].nextAt(now));
    }
    return next;
  }
}
