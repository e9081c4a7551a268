import { findByName } from "../../config/names.js";
import type { Params } from "../../rpc/messages.js";
import type { NetworkReport } from "../../rpc/reports.js";
import type { Overlays } from "../cluster/overlays.js";
import type { Members } from "../members.js";
import type { Network } from "../network.js";
import type { Networks } from "../networks.js";
import { emptyReport, networkReport } from "../report.js";
import type { StateKeeper } from "../state/keeper.js";
import { type Handlers, noStore } from "./handlers.js";

export interface NetworkRequestsContext {
  readonly networks: Networks;
  readonly members: Members;
  readonly overlays: Overlays | null;
  readonly keeper: StateKeeper;
  /** Called when a network of this host has been created. */
  readonly onCreated: () => void;
}

/** Carries out requests about networks. */
export class NetworkRequests {
  readonly #context: NetworkRequestsContext;

  constructor(context: NetworkRequestsContext) {
    this.#context = context;
  }

  readonly handlers: Pick<
    Handlers,
    "network.create" | "network.list" | "network.inspect" | "network.remove" | "network.prune"
  > = {
    "network.create": (spec) => this.#create(spec),
    "network.list": () => [
      ...this.#context.networks.virtual.map(emptyReport),
      ...this.#context.networks.all.map((network) => this.#report(network)),
    ],
    "network.inspect": ({ name }) => this.#inspect(name),
    "network.remove": ({ name }) => this.#remove(name),
    "network.prune": ({ only }) => this.#prune(only),
  };

  async #create(spec: Params<"network.create">): Promise<NetworkReport> {
    const { networks, keeper, overlays } = this.#context;
    if (spec.driver !== "bridge") {
      if (overlays === null) throw noStore();
      if (spec.driver === "overlay") return this.#report(await overlays.create(spec));
    }
    const network =
      spec.driver === "flannel" && overlays !== null
        ? await overlays.flannels.create(spec)
        : networks.create(spec);
    try {
      keeper.save();
    } catch (error) {
      networks.remove(network);
      await overlays?.flannels.remove(network);
      throw error;
    }
    this.#context.onCreated();
    return this.#report(network);
  }

  async #inspect(name: string): Promise<NetworkReport> {
    const { networks, overlays } = this.#context;
    const virtual = findByName(networks.virtual, name);
    if (virtual !== undefined) return emptyReport(virtual);
    const network = await this.#find(name);
    const report = this.#report(network);
    if (overlays === null || network.definition.carriage === null) return report;
    return { ...report, ...(await overlays.everywhere(network, report.Containers)) };
  }

  async #remove(name: string): Promise<Record<string, never>> {
    const { networks, members, overlays } = this.#context;
    networks.requireRemovable(name);
    const found = await this.#find(name);
    await members.ended(found);
    // It may have been removed meanwhile.
    const network = networks.get(found.id);
    networks.requireUnused(network);
    if (network.definition.carriage === null) await this.#removeLocal(network);
    else await overlays?.remove(network);
    return {};
  }

  async #removeLocal(network: Network): Promise<void> {
    const { networks, keeper, overlays } = this.#context;
    networks.remove(network);
    try {
      keeper.save();
    } catch (error) {
      networks.restore(network.definition, network.last);
      throw error;
    }
    await overlays?.flannels.remove(network);
  }

  /** @param only ids; null: all networks of this host that are unused */
  async #prune(only: readonly string[] | null): Promise<readonly string[]> {
    const { networks, members } = this.#context;
    await members.ended(null);
    const unused = networks.unused.filter(({ id }) => only?.includes(id) ?? true);
    for (const network of unused) await this.#removeLocal(network);
    return unused.map(({ name }) => name);
  }

  async #find(name: string): Promise<Network> {
    const { networks, overlays } = this.#context;
    return overlays === null ? networks.get(name) : overlays.find(name);
  }

  #report(network: Network): NetworkReport {
    return networkReport(network, this.#context.members.on(network));
  }
}
