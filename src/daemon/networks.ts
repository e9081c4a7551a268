import { UserError } from "../base/errors.js";
import { requireNetworkName } from "../commandline/network-spec.js";
import { findByName, isTaken } from "../config/names.js";
import { PREDEFINED, type PredefinedNetwork, predefinedNamed } from "../config/predefined.js";
import type { Reach } from "../nat/host-gateway.js";
import { memberReach } from "../network/plans.js";
import type { Params } from "../rpc/messages.js";
import { defineNetwork } from "./definition.js";
import { Network, type NetworkDefinition } from "./network.js";
import type { DataPlane } from "./workers/plane.js";

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
    const predefined = predefinedNamed(name);
    if (predefined === undefined || predefined.name === "bridge") {
      throw new UserError(`network ${name} does not exist: slipway network ls shows all networks`);
    }
    throw new UserError(
      `network ${predefined.name} has no members: slipway run --network ${predefined.name} starts a command there`,
    );
  }

  /** As get(), but makes the network bridge when it is missing. */
  getOrDefault(name: string): Network {
    const bridge = findByName(this.virtual, name);
    if (bridge?.name !== "bridge") return this.get(name);
    return this.#add({ ...defineNetwork(DEFAULT_SPEC, this.all), id: bridge.id });
  }

  /** The predefined networks that are shown without being there: `bridge` until it is first used. */
  get virtual(): readonly PredefinedNetwork[] {
    return PREDEFINED.filter(({ name }) => !this.#byName.has(name));
  }

  /** @throws UserError for the first thing that is wrong */
  create(spec: Spec): Network {
    requireNetworkName(spec.name);
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

  /** As get(). @throws UserError also for a network that nobody may remove */
  getRemovable(name: string): Network {
    const predefined = findByName(PREDEFINED, name);
    if (predefined === undefined) return this.get(name);
    throw new UserError(`network ${predefined.name} cannot be removed: it is always there`);
  }

  /** Those that somebody has created. */
  get custom(): readonly Network[] {
    return this.all.filter(({ name }) => predefinedNamed(name) === undefined);
  }

  /** Those without members that may be removed. */
  get unused(): readonly Network[] {
    return this.custom.filter(({ population }) => population === 0);
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
  name: "bridge",
  driver: "bridge",
  subnets: [],
  gateways: [],
  ranges: [],
  ipv4: true,
  ipv6: true,
  internal: false,
  mtu: null,
  labels: {},
  options: {},
};
