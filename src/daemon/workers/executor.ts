import { ApiClients } from "../../api/clients.js";
import { formatEndpoint } from "../../base/address.js";
import { logText, UserError } from "../../base/errors.js";
import { childLog } from "../../base/log.js";
import { DRAIN_LIMIT } from "../../config/constants.js";
import type { Upstream } from "../../config/dns-config.js";
import type { Guest } from "../../guest/guest.js";
import { notationOf } from "../../host/ports/notation.js";
import type { Loop } from "../../loop/loop.js";
import type { PublishedPort } from "../../nat/published-port.js";
import { networkMac, parseAddress } from "../../network/plans.js";
import { Switch, type SwitchPort } from "../../network/switch.js";
import { Overlay } from "../../overlay/overlay.js";
import { duplicateFd } from "../../sys/duplicate-fd.js";
import { native } from "../../sys/native.js";
import { Directory } from "./directory.js";
import type {
  ApiClientConfig,
  AttachmentConfig,
  AttachmentStatistics,
  Call,
  CallName,
  CallParams,
  CallResult,
  FromWorker,
  Publication,
  ToWorker,
  TunnelConfig,
  TunnelStatistics,
} from "./messages.js";
import { OpenFlannels } from "./open-flannels.js";
import { loadWireguard, OpenTunnels } from "./open-tunnels.js";

/** What the executor needs of its caller. */
export interface ExecutorContext {
  readonly loop: Loop;
  /** The host's resolvers. */
  readonly upstream: Upstream;
  /**
   * Publishes ports of a guest, in the notation of `--publish`.
   * @param listening a sock_diag(7) socket, for `auto`; becomes the callee's, unless this throws
   * @returns a line for each port of the host that was chosen at random
   * @throws UserError, and none of them is published then
   */
  readonly publish: (
    guest: Guest,
    what: Publication,
    listening: number | null,
  ) => readonly string[];
  readonly tell: (message: FromWorker) => void;
}

/** An attachment that this thread serves. */
interface Served {
  readonly guest: Guest;
  readonly switchPort: SwitchPort;
  /** Id of the network. */
  readonly network: string;
  /** Who asks about it as at an API socket; null: nobody has. */
  api: ApiClients | null;
}

/** Most clients that ask about one attachment at a time; one more ends the oldest. */
const MOST_API_CLIENTS = 16;

/** Carries out the messages to one thread: serves the attachments of its networks. */
export class Executor {
  readonly #context: ExecutorContext;
  readonly #directory: Directory;
  readonly #overlay = new Overlay();
  /** null: they were not opened. */
  #tunnels: OpenTunnels | null = null;
  readonly #flannels: OpenFlannels;
  readonly #attachments = new Map<number, Served>();
  /** Of the networks that have attachments here, by id. */
  readonly #switches = new Map<string, Switch>();
  /** Attachments whose published ports the main thread has not been told yet. */
  readonly #untold = new Set<number>();

  constructor(context: ExecutorContext) {
    this.#context = context;
    this.#flannels = new OpenFlannels(context.loop, this.#overlay);
    this.#directory = new Directory(context.upstream, this.#overlay, (network) =>
      this.#flannels.close(network),
    );
    context.loop.descriptors.onCrowded = (isScarce) => context.tell({ kind: "crowded", isScarce });
  }

  onMessage(message: ToWorker): void {
    switch (message.kind) {
      case "learn":
        this.#directory.learn(message.key, message.fact);
        return;
      case "forget":
        this.#directory.forget(message.key);
        return;
      case "make room":
        this.#context.loop.descriptors.makeRoom(message.isScarce);
        return;
      case "call":
        this.#answer(message.number, message.call);
        return;
    }
  }

  readonly #handlers: Handlers = {
    attach: ({ attachment, config }) => this.#attach(attachment, config),
    detach: ({ attachment, isDrained }) => this.#detach(attachment, isDrained),
    publish: ({ attachment, publication }) => this.#publish(attachment, publication),
    "serve api": ({ attachment, client }) => this.#serveApi(attachment, client),
    "open tunnels": (config) => this.#openTunnels(config),
    "open flannel": (what) => {
      this.#flannels.open(what);
      return null;
    },
    "tunnel statistics": () => this.#tunnelStatistics(),
    statistics: () => [...this.#attachments].map(statisticsOf),
    settle: () => {
      this.#tellPorts();
      return null;
    },
    stop: () => {
      this.#context.loop.stop();
      return null;
    },
  };

  /** Carries out a call before the next message, unless it returns a promise. */
  #answer(number: number, call: Call): void {
    const { tell } = this.#context;
    const succeed = (result: unknown): void => tell({ kind: "result", number, result });
    const fail = (error: unknown): void => {
      const isUsers = error instanceof UserError;
      const message = logText(error);
      tell({ kind: "failure", number, message, isUsers });
    };
    try {
      const result = this.#carryOut(call);
      if (result instanceof Promise) result.then(succeed, fail);
      else succeed(result);
    } catch (error) {
      fail(error);
    }
  }

  #carryOut<C extends CallName>({ name, params }: { name: C; params: CallParams<C> }): unknown {
    const handler: Handlers[C] = this.#handlers[name];
    return handler(params);
  }

  #attach(attachment: number, config: AttachmentConfig): null {
    const { network, mac, addresses } = config;
    const tap = duplicateFd(config.tap);
    const ownSwitch = this.#switchOf(network);
    const switchPort = ownSwitch.addPort({ mac, addresses: addresses.map(parseAddress) });
    try {
      const guest = this.#context.loop.addGuest(
        { fd: tap, vnetHeader: true },
        this.#directory.configOf(config),
        (why) => this.#onGone(attachment, why),
        null,
        switchPort,
      );
      this.#attachments.set(attachment, { guest, switchPort, network, api: null });
      guest.forwards.onChange = () => this.#onPorts(attachment);
      return null;
    } catch (error) {
      native.close(tap);
      this.#leave(network, switchPort);
      // A limit: of guests of a thread, of descriptors, or of memory.
      if (error instanceof RangeError) throw new UserError(error.message);
      throw error;
    }
  }

  #detach(attachment: number, isDrained: boolean): null | Promise<null> {
    const served = this.#attachments.get(attachment);
    if (served === undefined) return null;
    if (!isDrained) return this.#end(attachment);
    return new Promise((resolve) => {
      const end = (): void => resolve(this.#end(attachment));
      this.#context.loop.drain(DRAIN_LIMIT, end, served.guest);
    });
  }

  #end(attachment: number): null {
    const served = this.#attachments.get(attachment);
    if (served === undefined) return null;
    this.#attachments.delete(attachment);
    served.api?.close();
    this.#context.loop.removeGuest(served.guest);
    this.#leave(served.network, served.switchPort);
    return null;
  }

  #onGone(attachment: number, why: string): void {
    this.#end(attachment);
    this.#context.tell({ kind: "gone", attachment, why });
  }

  #served(attachment: number): Served {
    const served = this.#attachments.get(attachment);
    if (served === undefined) throw new UserError("the member has left the network");
    return served;
  }

  #publish(attachment: number, publication: Publication): readonly string[] {
    const served = this.#served(attachment);
    const { listening, auto } = publication;
    const own = listening === null || auto === null ? null : duplicateFd(listening);
    try {
      return this.#context.publish(served.guest, publication, own);
    } catch (error) {
      if (own !== null) native.close(own);
      throw error;
    }
  }

  #serveApi(attachment: number, { socket, ifname, pid, mayPublish }: ApiClientConfig): null {
    const served = this.#served(attachment);
    const { guest } = served;
    served.api ??= new ApiClients(
      this.#context.loop,
      { guest, tap: ifname, pid, mayPublish, log: childLog() },
      MOST_API_CLIENTS,
    );
    served.api.serve(duplicateFd(socket));
    return null;
  }

  /** Tells the main thread once of all changes of one request. */
  #onPorts(attachment: number): void {
    if (this.#untold.size === 0) setImmediate(() => this.#tellPorts());
    this.#untold.add(attachment);
  }

  #tellPorts(): void {
    for (const attachment of this.#untold) {
      const guest = this.#attachments.get(attachment)?.guest;
      if (guest === undefined) continue;
      const ports = notationOf(guest.forwards.rules.filter((rule) => isKept(rule, guest)));
      this.#context.tell({ kind: "ports", attachment, ports });
    }
    this.#untold.clear();
  }

  /** Replaces the tunnels that there were. */
  async #openTunnels(config: TunnelConfig): Promise<null> {
    const code = await loadWireguard(config);
    this.#tunnels?.close();
    this.#tunnels = new OpenTunnels(config, this.#context.loop, this.#overlay, code);
    return null;
  }

  #tunnelStatistics(): TunnelStatistics | null {
    if (this.#tunnels === null && this.#flannels.isEmpty) return null;
    const { counters, drops } = this.#overlay.statistics;
    return { counters, drops: Object.fromEntries(drops.entries()) };
  }

  #switchOf(network: string): Switch {
    const known = this.#switches.get(network);
    if (known !== undefined) return known;
    const trunk = this.#overlay.trunk(network);
    const made = new Switch(networkMac(this.#directory.network(network).subnets), trunk);
    if (trunk !== null) trunk.localSwitch = made;
    this.#switches.set(network, made);
    return made;
  }

  #leave(network: string, switchPort: SwitchPort): void {
    const left = this.#switches.get(network);
    left?.removePort(switchPort);
    if (left?.isEmpty !== true) return;
    this.#switches.delete(network);
    const trunk = this.#overlay.trunk(network);
    if (trunk !== null) trunk.localSwitch = null;
  }
}

type Handlers = {
  readonly [C in CallName]: (params: CallParams<C>) => CallResult<C> | Promise<CallResult<C>>;
};

/** Whether a port is published again when another guest serves the member. */
function isKept({ isAuto, guest: target }: PublishedPort, { config }: Guest): boolean {
  return isAuto !== true && config.plans.some(({ guest }) => guest.equals(target));
}

function statisticsOf([attachment, { guest, switchPort }]: [number, Served]): AttachmentStatistics {
  const drops: Record<string, number> = {};
  for (const [reason, count] of [...switchPort.drops.entries(), ...guest.drops.entries()]) {
    drops[reason] = (drops[reason] ?? 0) + count;
  }
  const published = guest.forwards.rules.map(ruleText);
  return { attachment, counters: switchPort.counters, drops, published };
}

/** As docker ps prints it. */
function ruleText({ host, hostPort, guestPort, protocol }: PublishedPort): string {
  return `${formatEndpoint(host, hostPort)}->${guestPort}/${protocol}`;
}
