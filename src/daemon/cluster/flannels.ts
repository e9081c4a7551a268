import { getSystemErrorName } from "node:util";
import { type Address, formatEndpoint, type Prefix } from "../../base/address.js";
import { logText, UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { Mac } from "../../base/mac.js";
import type { FlannelConfig } from "../../cluster/encoding/flannel.js";
import { type Flannel, joinFlannel } from "../../cluster/flannel.js";
import { checkNetwork } from "../../commandline/network-spec.js";
import type { Params } from "../../rpc/messages.js";
import { Backoff } from "../../store/backoff.js";
import type { Store } from "../../store/store.js";
import { native } from "../../sys/native.js";
import { randomId } from "../../sys/random.js";
import { openTunnelSocket } from "../../sys/sockets/datagram-socket.js";
import { conflictOf } from "../definition.js";
import type { Network, NetworkDefinition } from "../network.js";
import type { Networks } from "../networks.js";
import type { DataPlane } from "../workers/plane.js";

/** Between attempts to join again after a start, in ms. */
const RETRY = { first: 1_000, most: 30_000 } as const;

export interface FlannelsContext {
  readonly networks: Networks;
  readonly plane: Pick<DataPlane, "learn" | "forget" | "openFlannel" | "closeFlannel">;
  /** A store of the keys below a prefix; null: the store is a file. */
  readonly openStore: ((prefix: string) => Store) | null;
  /** Where other hosts reach this one by IPv4; null: nowhere. */
  readonly publicIp: Address | null;
  /** What sockets are bound to instead; null: that. */
  readonly listen: Address | null;
  /** By which they route to it. */
  readonly vtepMac: Mac;
}

type FlannelDefinition = NonNullable<NetworkDefinition["flannel"]>;

/** One that this host is in. */
interface Joined {
  readonly socket: number;
  /** null: not yet, after a start. */
  flannel: Flannel | null;
  retry: NodeJS.Timeout | null;
  readonly backoff: Backoff;
}

/** The flannel networks that this host is in: networks of its own, with routes to the subnets of other hosts. */
export class Flannels {
  readonly #context: FlannelsContext;
  /** By the networks' ids. */
  readonly #joined = new Map<string, Joined>();

  constructor(context: FlannelsContext) {
    this.#context = context;
  }

  /** @throws UserError, and nothing is taken then */
  async create(spec: Params<"network.create">): Promise<Network> {
    const { networks, vtepMac } = this.#context;
    const { carriage, mtu } = checkNetwork(spec);
    if (carriage.kind !== "flannel") throw new RangeError(`${carriage.kind} is not flannel`);
    networks.requireFreeName(spec.name);
    const { name, internal, labels, options } = spec;
    const id = randomId();
    const routes = new Routes(id, this.#context.plane);
    let socket = -1;
    try {
      const flannel = await this.#join(carriage.prefix, null, routes, (config) => {
        socket = this.#openSocket(config.port);
      });
      const { vni, port } = flannel.config;
      const definition: NetworkDefinition = {
        ...{ id, name, created: Date.now(), internal, mtu, labels, options },
        subnets: subnetsOf(flannel.own.subnet),
        carriage: null,
        flannel: { prefix: carriage.prefix, vni, port, vtepMac },
      };
      await this.#requireFree(flannel, definition);
      this.#joined.set(id, { socket, flannel, retry: null, backoff: newBackoff() });
      return this.#serve(definition, socket, routes);
    } catch (error) {
      if (socket >= 0) native.close(socket);
      throw error;
    }
  }

  /** Those of the daemon before, which are networks already. */
  restore(): void {
    for (const network of this.#context.networks.local) {
      const { flannel } = network.definition;
      if (flannel !== undefined) this.#restore(network, flannel);
    }
  }

  /** Has been removed: its subnet is free for others. */
  async remove({ id, name }: Network): Promise<void> {
    const joined = this.#joined.get(id);
    if (joined === undefined) return;
    this.#joined.delete(id);
    this.#end(id, joined);
    try {
      await joined.flannel?.leave();
    } catch (error) {
      log.warn(`the subnet of ${name} is free in 24 h only: ${logText(error)}`);
    }
  }

  /** The leases stay, for the next daemon. */
  close(): void {
    for (const [id, joined] of this.#joined) {
      this.#end(id, joined);
      joined.flannel?.close();
    }
    this.#joined.clear();
  }

  #end(id: string, { socket, retry }: Joined): void {
    if (retry !== null) clearTimeout(retry);
    this.#context.plane.closeFlannel(id);
    native.close(socket);
  }

  /** @param previous the subnet that it had; null: none @throws UserError */
  async #join(
    prefix: string,
    previous: Prefix | null,
    routes: Routes,
    onConfig: (config: FlannelConfig) => void,
  ): Promise<Flannel> {
    const { openStore, publicIp, vtepMac } = this.#context;
    if (openStore === null) {
      throw new UserError(
        "a flannel network is in etcd, and the store is a file: give --store etcd://…",
      );
    }
    if (publicIp === null) {
      throw new UserError("a flannel network is of IPv4: give an IPv4 address by --advertise, too");
    }
    return joinFlannel(
      openStore(`${prefix}/`),
      { publicIp, vtepMac, previous },
      {
        onConfig,
        onRoute: ({ subnet, publicIp: address, vtepMac: mac }) =>
          routes.add(`${subnet}`, { address: `${address}`, vtepMac: mac }),
        onRouteGone: (subnet) => routes.remove(`${subnet}`),
      },
    );
  }

  /** @throws UserError when the port is in use */
  #openSocket(port: number): number {
    const { publicIp, listen } = this.#context;
    const address = listen ?? publicIp;
    if (address === null) return -1;
    const fd = openTunnelSocket(address, port);
    if (fd >= 0) return fd;
    throw new UserError(
      `UDP port ${formatEndpoint(address, port)} of the flannel network cannot be opened (${getSystemErrorName(fd)}): does flanneld, or another user's daemon, run on this host?`,
    );
  }

  /** @throws UserError when the subnet is used on this host otherwise */
  async #requireFree(flannel: Flannel, definition: NetworkDefinition): Promise<void> {
    const conflict = conflictOf(definition, this.#context.networks.definitions);
    if (conflict === null) return;
    await flannel.leave();
    throw new UserError(
      `this host's subnet of the flannel network, ${conflict}: remove that here, or try again for another`,
    );
  }

  #serve(definition: NetworkDefinition, socket: number, routes: Routes): Network {
    const { networks, plane } = this.#context;
    const network = networks.add(definition);
    routes.open();
    this.#open(plane, network, socket);
    return network;
  }

  #open(plane: FlannelsContext["plane"], { id, name }: Network, socket: number): void {
    plane.openFlannel(id, socket).catch((error: unknown) => {
      log.error(`network ${name} reaches no other host: ${logText(error)}`);
    });
  }

  #restore(network: Network, definition: FlannelDefinition): void {
    const { plane } = this.#context;
    let socket: number;
    try {
      socket = this.#openSocket(definition.port);
    } catch (error) {
      log.warn(`network ${network.name} reaches no other host: ${logText(error)}`);
      return;
    }
    const joined: Joined = { socket, flannel: null, retry: null, backoff: newBackoff() };
    this.#joined.set(network.id, joined);
    this.#open(plane, network, socket);
    void this.#rejoin(network, definition, joined);
  }

  async #rejoin(network: Network, definition: FlannelDefinition, joined: Joined): Promise<void> {
    const { id, name } = network;
    const [{ prefix }] = network.definition.subnets;
    const routes = new Routes(id, this.#context.plane);
    routes.open();
    try {
      const flannel = await this.#join(definition.prefix, prefix, routes, () => {});
      if (this.#joined.get(id) !== joined) {
        flannel.close();
        return;
      }
      joined.flannel = flannel;
      const { subnet } = flannel.own;
      if (`${subnet}` === `${prefix}`) return;
      log.warn(
        `the subnet of network ${name}, ${prefix}, belongs to another host now, and this one has ${subnet}: slipway network rm ${name}, and create it again`,
      );
    } catch (error) {
      if (this.#joined.get(id) !== joined) return;
      log.warn(`network ${name} does not know the other hosts yet: ${logText(error)}`);
      joined.retry = setTimeout(
        () => void this.#rejoin(network, definition, joined),
        joined.backoff.next(),
      );
    }
  }
}

function newBackoff(): Backoff {
  return new Backoff(RETRY.first, RETRY.most);
}

/** The first address is flannel's own, the second the gateway's, as on flannel's hosts. */
function subnetsOf(prefix: Prefix): NetworkDefinition["subnets"] {
  return [{ prefix, gateway: prefix.address.plus(1), range: prefix }];
}

/** Tells the threads of routes, as soon as they know of the network. */
class Routes {
  readonly #network: string;
  readonly #plane: FlannelsContext["plane"];
  /** Until then; null: they know. */
  #early: Map<string, { readonly address: string; readonly vtepMac: Mac }> | null = new Map();

  constructor(network: string, plane: FlannelsContext["plane"]) {
    this.#network = network;
    this.#plane = plane;
  }

  open(): void {
    const early = this.#early;
    this.#early = null;
    for (const [subnet, route] of early ?? []) this.add(subnet, route);
  }

  add(subnet: string, route: { readonly address: string; readonly vtepMac: Mac }): void {
    if (this.#early !== null) {
      this.#early.set(subnet, route);
      return;
    }
    const fact = { kind: "route", network: this.#network, subnet, ...route } as const;
    this.#plane.learn(this.#keyOf(subnet), fact);
  }

  remove(subnet: string): void {
    if (this.#early === null) this.#plane.forget(this.#keyOf(subnet));
    else this.#early.delete(subnet);
  }

  #keyOf(subnet: string): string {
    return `route ${this.#network} ${subnet}`;
  }
}
