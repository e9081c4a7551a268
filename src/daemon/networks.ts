import { UserError } from "../base/errors.js";
import { DEFAULT_MTU } from "../config/constants.js";
import { isLabel } from "../network/names.js";
import type { Params } from "../rpc/messages.js";
import { defineNetwork } from "./definition.js";
import { Network, type NetworkDefinition } from "./network.js";
import type { DataPlane } from "./workers/plane.js";

/** The network that `--network bridge` means; made when it is first asked for. */
const DEFAULT_NETWORK = "bridge";

/** Names that `--network` gives another meaning. */
const RESERVED_NAMES: readonly string[] = ["host", "none", "slirp", "container", "default"];

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

  /** By its name, or the first 8 digits or more of its id. @throws UserError when there is none */
  get(name: string): Network {
    const found = this.#byName.get(name) ?? this.#byId(name);
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
    if (!isLabel(spec.name) || RESERVED_NAMES.includes(spec.name)) {
      throw new UserError(
        `"${spec.name}" cannot be a network's name: use letters, digits and hyphens, and none of ${RESERVED_NAMES.join(", ")}`,
      );
    }
    if (this.#byName.has(spec.name)) {
      throw new UserError(
        `network ${spec.name} exists: choose another name, or slipway network rm ${spec.name}`,
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

  #add(definition: NetworkDefinition): Network {
    const network = new Network(definition);
    this.#byName.set(definition.name, network);
    this.#plane.learn(definition.id, network.fact);
    return network;
  }

  #byId(start: string): Network | undefined {
    const found = this.all.filter(({ definition }) => definition.id.startsWith(start));
    return start.length >= 8 && found.length === 1 ? found[0] : undefined;
  }
}

const DEFAULT_SPEC: Spec = {
  name: DEFAULT_NETWORK,
  subnets: [],
  gateways: [],
  ranges: [],
  ipv6: true,
  internal: false,
  mtu: DEFAULT_MTU,
  labels: {},
  options: {},
};
