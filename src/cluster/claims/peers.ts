import { UserError } from "../../base/errors.js";
import { isValidName } from "../../config/names.js";
import type { Condition } from "../../store/store.js";
import { randomId } from "../../sys/random.js";
import type { NewPeer } from "../cluster.js";
import { decodePeer, encodePeer } from "../encoding/member.js";
import { Nonsense } from "../encoding/values.js";
import { peerKey } from "../keys.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import { type Given, giveBack } from "./giving.js";
import type { RestingLeases } from "./resting.js";
import { type Identity, type Surroundings, take } from "./taking.js";

/** Makes machines without Slipway members of networks: by records that stay until somebody removes them. */
export class Peers {
  readonly #around: Surroundings;
  readonly #resting: RestingLeases;

  constructor(around: Surroundings, resting: RestingLeases) {
    this.#around = around;
    this.#resting = resting;
  }

  /** @throws UserError */
  async add(wanted: NewPeer, network: NetworkRecord): Promise<MemberRecord> {
    requireCarriage(wanted, network);
    const { name, addresses, mac, location } = wanted;
    const id = randomId();
    const record = (identity: Identity): MemberRecord => ({
      network: network.id,
      id,
      names: [name.toLowerCase()],
      ...identity,
      location,
    });
    const identity = await take(
      {
        ...{ network, host: null, member: id, name, addresses, mac },
        // A VTEP sends from what its device has; a WireGuard client is told.
        isCompleted: location.kind === "wireguard" || addresses.length === 0,
        leases: null,
        record: (chosen) => [
          {
            kind: "put",
            key: peerKey(network.id, name),
            value: encodePeer(record(chosen)),
            lease: null,
          },
        ],
        isOurs: false,
      },
      this.#around,
    );
    return record(identity);
  }

  /** @throws UserError when there is no such peer */
  async remove(network: NetworkRecord, name: string): Promise<MemberRecord> {
    const { store } = this.#around;
    const key = peerKey(network.id, name);
    const { entries } = await store.list(key);
    const entry = entries.find((each) => each.key === key);
    if (entry === undefined || !isValidName("name", name)) throw noPeer(network, name);
    const peer = decodePeer(network, key, entry.value);
    const condition: Condition = { kind: "unchanged", key, modified: entry.modified };
    if (!(await this.#remove(key, peer, condition))) throw noPeer(network, name);
    if (peer instanceof Nonsense) {
      throw new UserError(`peer ${name} of network ${network.name} made no sense, and was removed`);
    }
    return peer;
  }

  async #remove(
    key: string,
    peer: MemberRecord | Nonsense,
    condition: Condition,
  ): Promise<boolean> {
    const { store } = this.#around;
    if (peer instanceof Nonsense) {
      return (await store.commit([condition], [{ kind: "delete", key }])).done;
    }
    const { network, id, names, addresses, mac } = peer;
    const given: Given = {
      ...{ network, host: null, member: id, name: names[0], addresses, mac },
      ...{ keepsName: false, key },
    };
    return await giveBack(store, given, await this.#resting.get(), condition);
  }
}

/** @throws UserError */
function requireCarriage({ location }: NewPeer, { name, carriage }: NetworkRecord): void {
  if (location.kind === "vtep" && carriage.kind === "wireguard") {
    throw new UserError(
      `network ${name} is encrypted, and --vtep is for plain ones: give --wireguard, or create a network with --opt encrypted=false`,
    );
  }
  if (location.kind === "wireguard" && carriage.kind === "vxlan") {
    throw new UserError(
      `network ${name} is plain, and --wireguard is for encrypted ones: give --vtep, or create a network without --opt encrypted=false`,
    );
  }
}

function noPeer(network: NetworkRecord, name: string): UserError {
  return new UserError(
    `network ${network.name} has no peer ${name}: slipway network peer ls ${network.name}`,
  );
}
