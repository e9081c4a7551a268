import { UserError } from "../base/errors.js";
import { requireNetworkName } from "../commandline/network-spec.js";
import { findByName, isTaken } from "../config/names.js";
import { PREDEFINED, type PredefinedNetwork, predefinedNamed } from "../config/predefined.js";
import type { Reach } from "../nat/host-gateway.js";
import { memberReach } from "../network/plans.js";
import type { Params } from "../rpc/messages.js";
import { defineNetwork } from "./definition.js";
import { Network, type NetworkDefinition, type ReservationEvents } from "./network.js";
import type { DataPlane } from "./workers/plane.js";

type Spec = Params<"network.create">;

/** The networks that this daemon knows: its own, and the overlays of its cluster. */
export class Networks {
  readonly #plane: Pick<DataPlane, "learn" | "forget">;
  /** Those of this host. */
  readonly #byName = new Map<string, Network>();
  /** By id. */
  readonly #overlays = new Map<string, Network>();
  /** Overlays that the threads know. */
  readonly #served = new Set<Network>();

  /** @param plane learns which networks there are */
  constructor(plane: Pick<DataPlane, "learn" | "forget">) {
    this.#plane = plane;
  }

  get all(): readonly Network[] {
    return [...this.local, ...this.overlays];
  }

  /** Those that are on this host alone. */
  get local(): readonly Network[] {
    return [...this.#byName.values()];
  }

  get overlays(): readonly Network[] {
    return [...this.#overlays.values()];
  }

  /**
   * By its id, its name, or the first 8 digits or more of its id. A network of this host goes before an overlay of the
   * same name.
   * @throws UserError when there is none
   */
  get(name: string): Network {
    const found = this.find(name);
    if (found !== undefined) return found;
    const predefined = predefinedNamed(name);
    if (predefined === undefined || predefined.name === "bridge") {
      throw new UserError(`network ${name} does not exist: slipway network ls shows all networks`);
    }
    throw new UserError(
      `network ${predefined.name} has no members: slipway run --network ${predefined.name} starts a command there`,
    );
  }

  find(name: string): Network | undefined {
    return this.#byName.get(name) ?? findByName(this.all, name);
  }

  /** As get(), but makes the network bridge when it is missing. */
  getOrDefault(name: string): Network {
    const bridge = findByName(this.virtual, name);
    if (bridge?.name !== "bridge") return this.get(name);
    return this.add({ ...defineNetwork(DEFAULT_SPEC, this.definitions), id: bridge.id });
  }

  /** The predefined networks that are shown without being there: `bridge` until it is first used. */
  get virtual(): readonly PredefinedNetwork[] {
    return PREDEFINED.filter(({ name }) => !this.#byName.has(name));
  }

  /** @throws UserError for the first thing that is wrong */
  create(spec: Spec): Network {
    this.requireFreeName(spec.name);
    return this.add(defineNetwork(spec, this.definitions));
  }

  /** Adds one of this host, whose name is free. */
  add(definition: NetworkDefinition): Network {
    const network = new Network(definition);
    this.#byName.set(definition.name, network);
    this.#plane.learn(definition.id, network.fact);
    return network;
  }

  get definitions(): readonly NetworkDefinition[] {
    return this.all.map(({ definition }) => definition);
  }

  /** @throws UserError when a new network may not have that name */
  requireFreeName(name: string): void {
    requireNetworkName(name);
    const other = this.all.find((each) => isTaken(name, each));
    if (other === undefined) return;
    throw new UserError(
      `network ${other.name} exists: choose another name, or slipway network rm ${other.name}`,
    );
  }

  /**
   * Adds an overlay, which no thread knows before serveOverlay().
   * @param events of what its members on this host have
   */
  addOverlay(definition: NetworkDefinition, events: ReservationEvents): Network {
    const network = new Network(definition, events);
    this.#overlays.set(definition.id, network);
    return network;
  }

  /** Tells the threads of an overlay: its subnets are reached by its members alone from now on. */
  serveOverlay(network: Network): void {
    this.#served.add(network);
    this.#plane.learn(network.id, network.fact);
  }

  removeOverlay(network: Network): void {
    this.#overlays.delete(network.id);
    this.#served.delete(network);
    this.#plane.forget(network.id);
  }

  /** Adds a network of the daemon before, whatever it overlaps by now. */
  restore(definition: NetworkDefinition, last: readonly number[]): void {
    this.add(definition).continueAfter(last);
  }

  /** @throws UserError for a network that nobody may remove */
  requireRemovable(name: string): void {
    const predefined = findByName(PREDEFINED, name);
    if (predefined === undefined) return;
    throw new UserError(`network ${predefined.name} cannot be removed: it is always there`);
  }

  /** Those that somebody has created. */
  get custom(): readonly Network[] {
    return this.all.filter(({ name }) => predefinedNamed(name) === undefined);
  }

  /** Those of this host without members that may be removed. */
  get unused(): readonly Network[] {
    return this.custom.filter(
      ({ population, definition }) => population === 0 && definition.carriage === null,
    );
  }

  /** @throws UserError while it has attachments */
  requireUnused({ name, population }: Network): void {
    if (population === 0) return;
    throw new UserError(
      `network ${name} is in use: disconnect its members first: slipway network inspect ${name}`,
    );
  }

  /** Removes one of this host. @throws UserError while it has attachments */
  remove(network: Network): void {
    this.requireUnused(network);
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
      [...this.local, ...this.#served].some((each) => each.contains(address)),
    );
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
