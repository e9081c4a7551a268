import { UserError } from "../base/errors.js";
import { DEFAULT_MTU } from "../config/constants.js";
import { findByName, isTaken } from "../config/names.js";
import type { Reach } from "../nat/host-gateway.js";
import { memberReach } from "../network/plans.js";
import type { Params } from "../rpc/messages.js";
import { defineNetwork } from "./definition.js";
import { Network, type NetworkDefinition } from "./network.js";
import type { DataPlane } from "./workers/plane.js";

/** The network that `--network bridge` means; made when it is first asked for. */
const DEFAULT_NETWORK = "bridge";

type Spec = Params<"network.create">;

/** The networks of this daemon. */
export class Networks {
  readonly #plane: Pick<DataPlane, "learn" | "forget">;
  readonly #byName = new Map<string, Network>();

  /** @param plane learns which networks there are */
  constructor(plane: Pick<DataPlane, "learn" | "forget">) {
    this.#plane = plane;
  }

  get all(): readonly Network[] {
    return [...this.#byName.values()];
  }

  /** By its id, its name, or the first 8 digits or more of its id. @throws UserError when there is none */
  get(name: string): Network {
    const found = this.#byName.get(name) ?? findByName(this.all, name);
    if (found !== undefined) return found;
    throw new UserError(`network ${name} does not exist: slipway network ls shows all networks`);
  }

  /** As get(), but makes the default network when it is missing. */
  getOrDefault(name: string): Network {
    const isMissing = name === DEFAULT_NETWORK && !this.#byName.has(name);
    if (isMissing) return this.#add(defineNetwork(DEFAULT_SPEC, this.all));
    return this.get(name);
  }

  /** @throws UserError for the first thing that is wrong */
  create(spec: Spec): Network {
    const other = this.all.find((each) => isTaken(spec.name, each));
    if (other !== undefined) {
      throw new UserError(
        `network ${other.name} exists: choose another name, or slipway network rm ${other.name}`,
      );
    }
    return this.#add(defineNetwork(spec, this.all));
  }

  /** Adds a network of the daemon before, whatever it overlaps by now. */
  restore(definition: NetworkDefinition, last: readonly number[]): void {
    this.#add(definition).continueAfter(last);
  }

  /** @throws UserError while it has attachments */
  remove(network: Network): void {
    if (network.population > 0) {
      throw new UserError(
        `network ${network.name} is in use: disconnect its members first: slipway network inspect ${network.name}`,
      );
    }
    this.#byName.delete(network.name);
    this.#plane.forget(network.definition.id);
  }

  /**
   * Where the gateway of a member leads.
   * @param names of the networks that it is on, in order
   * @throws UserError when one does not exist
   */
  reachOf(names: readonly string[], hostLoopback: boolean): Reach {
    const networks = names.map((name) => this.getOrDefault(name).definition);
    const subnets = networks.find(({ internal }) => !internal)?.subnets ?? [];
    return memberReach(subnets, hostLoopback, (address) =>
      this.all.some((each) => each.contains(address)),
    );
  }

  #add(definition: NetworkDefinition): Network {
    const network = new Network(definition);
    this.#byName.set(definition.name, network);
    this.#plane.learn(definition.id, network.fact);
    return network;
  }
}

const DEFAULT_SPEC: Spec = {
  name: DEFAULT_NETWORK,
  subnets: [],
  gateways: [],
  ranges: [],
  ipv4: true,
  ipv6: true,
  internal: false,
  mtu: DEFAULT_MTU,
  labels: {},
  options: {},
};
