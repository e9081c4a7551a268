import { getSystemErrorName } from "node:util";
import { formatEndpoint } from "../base/address.js";
import { DRAIN_LIMIT } from "../base/constants.js";
import { UserError } from "../base/errors.js";
import type { Upstream } from "../base/plan.js";
import type { PublishedPort } from "../flow/published.js";
import type { Guest } from "../guest.js";
import type { Loop } from "../loop.js";
import { networkMac } from "../network/plans.js";
import { Switch, type SwitchPort } from "../network/switch.js";
import { native } from "../sys/native.js";
import { addressOf, Directory } from "./directory.js";
import type {
  Call,
  CallName,
  CallParams,
  CallResult,
  FromWorker,
  PortConfig,
  PortState,
  Publication,
  ToWorker,
} from "./messages.js";

/** What the executor needs of those above it. */
export interface ExecutorContext {
  readonly loop: Loop;
  /** The host's resolvers. */
  readonly upstream: Upstream;
  /**
   * Publishes ports of a guest, as `--publish` writes them.
   * @param listening tells what `auto` is to publish; becomes the callee's, unless this throws
   * @returns a line for each that was chosen
   * @throws UserError, and nothing of it is published then
   */
  readonly publish: (
    guest: Guest,
    what: Publication,
    listening: number | null,
  ) => readonly string[];
  readonly tell: (message: FromWorker) => void;
}

/** A place that is served. */
interface Served {
  readonly guest: Guest;
  readonly switchPort: SwitchPort;
  /** Id of its network. */
  readonly network: string;
}

/** Serves the networks of one thread. */
export class Executor {
  readonly #context: ExecutorContext;
  readonly #directory: Directory;
  readonly #ports = new Map<number, Served>();
  /** Of the networks that have ports here. */
  readonly #switches = new Map<string, Switch>();

  constructor(context: ExecutorContext) {
    this.#context = context;
    this.#directory = new Directory(context.upstream);
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
    add: ({ port, config }) => this.#add(port, config),
    remove: ({ port, isDrained }) => this.#remove(port, isDrained),
    publish: ({ port, publication }) => this.#publish(port, publication),
    states: () => [...this.#ports].map(stateOf),
    settle: () => null,
    stop: () => {
      this.#context.loop.stop();
      return null;
    },
  };

  /** At once where it can be: what comes next finds it done. */
  #answer(number: number, call: Call): void {
    const { tell } = this.#context;
    const succeed = (result: unknown): void => tell({ kind: "result", number, result });
    const fail = (error: unknown): void => {
      const isUsers = error instanceof UserError;
      const message = isUsers ? error.message : textOf(error);
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

  #add(port: number, config: PortConfig): null {
    const { network, mac, addresses } = config;
    const tap = copied(config.tap);
    const ownSwitch = this.#switchOf(network);
    const switchPort = ownSwitch.addPort({ mac, addresses: addresses.map(addressOf) });
    try {
      const guest = this.#context.loop.addGuest(
        { fd: tap, vnetHeader: true },
        this.#directory.configOf(config),
        (why) => this.#onGone(port, why),
        null,
        switchPort,
      );
      this.#ports.set(port, { guest, switchPort, network });
      return null;
    } catch (error) {
      native.close(tap);
      this.#leave(network, switchPort);
      // Of guests that a thread serves, or of memory.
      if (error instanceof RangeError) throw new UserError(error.message);
      throw error;
    }
  }

  #remove(port: number, isDrained: boolean): null | Promise<null> {
    const served = this.#ports.get(port);
    if (served === undefined) return null;
    if (!isDrained) return this.#end(port);
    return new Promise((resolve) => {
      const end = (): void => resolve(this.#end(port));
      this.#context.loop.drain(DRAIN_LIMIT, end, served.guest);
    });
  }

  #end(port: number): null {
    const served = this.#ports.get(port);
    if (served === undefined) return null;
    this.#ports.delete(port);
    this.#context.loop.removeGuest(served.guest);
    this.#leave(served.network, served.switchPort);
    return null;
  }

  #onGone(port: number, why: string): void {
    this.#end(port);
    this.#context.tell({ kind: "gone", port, why });
  }

  #publish(port: number, publication: Publication): readonly string[] {
    const served = this.#ports.get(port);
    if (served === undefined) throw new UserError("the member has left the network");
    const { listening, auto } = publication;
    const own = listening === null || auto === null ? null : copied(listening);
    try {
      return this.#context.publish(served.guest, publication, own);
    } catch (error) {
      if (own !== null) native.close(own);
      throw error;
    }
  }

  #switchOf(network: string): Switch {
    const known = this.#switches.get(network);
    if (known !== undefined) return known;
    const made = new Switch(networkMac(this.#directory.network(network).subnets));
    this.#switches.set(network, made);
    return made;
  }

  #leave(network: string, switchPort: SwitchPort): void {
    const left = this.#switches.get(network);
    left?.removePort(switchPort);
    if (left?.isEmpty === true) this.#switches.delete(network);
  }
}

type Handlers = {
  readonly [C in CallName]: (params: CallParams<C>) => CallResult<C> | Promise<CallResult<C>>;
};

/** The sender keeps its own. @throws UserError when there is no descriptor left */
function copied(fd: number): number {
  const copy = native.copyFd(fd);
  if (copy >= 0) return copy;
  throw new UserError(`cannot take over a descriptor (${getSystemErrorName(copy)}): ulimit -n`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function stateOf([port, { guest, switchPort }]: [number, Served]): PortState {
  const drops: Record<string, number> = {};
  for (const [reason, count] of [...switchPort.drops.entries(), ...guest.drops.entries()]) {
    drops[reason] = (drops[reason] ?? 0) + count;
  }
  const published = guest.forwards.rules.map(ruleText);
  return { port, counters: switchPort.counters, drops, published };
}

/** As docker ps has it. */
function ruleText({ host, hostPort, guestPort, protocol }: PublishedPort): string {
  return `${formatEndpoint(host, hostPort)}->${guestPort}/${protocol}`;
}
