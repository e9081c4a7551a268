import {
  type AddressPlan,
  addressesOf,
  type GuestAddress,
  networkOf,
  type Route,
  textOfAddress,
  textOfRoute,
} from "../../config/address-plan.js";
import { addAddress, addRoute, deleteAddress, deleteRoute, Mode } from "../../wire/rtnetlink.js";

/** Sends a request of rtnetlink in the namespace. @returns 0 or a negative errno */
export type Send = (request: Uint8Array) => number;

/**
 * The addresses and routes of a guest's interface that Slipway has set. What the guest has added itself is left as it is:
 * nothing that is there is replaced, and only what was added here is deleted.
 */
export class ConfiguredLink {
  readonly #index: number;
  readonly #send: Send;
  /** By their texts. */
  readonly #addresses: Map<string, GuestAddress>;
  readonly #routes: Map<string, Route>;

  /**
   * @param index of the interface
   * @param plans that were set by tapRequests()
   */
  constructor(index: number, plans: readonly AddressPlan[], send: Send) {
    this.#index = index;
    this.#send = send;
    this.#addresses = addressesIn(plans);
    this.#routes = routesIn(plans);
  }

  /**
   * Sets what `plans` have, and takes back what they do not have any more. A request that the namespace refuses is left
   * out: the guest may have changed what it is about.
   */
  change(plans: readonly AddressPlan[]): void {
    const addresses = addressesIn(plans);
    const routes = routesIn(plans);
    for (const [key, route] of this.#routes) {
      if (routes.has(key)) continue;
      this.#routes.delete(key);
      this.#send(deleteRoute(this.#index, route));
    }
    // New addresses come first: with its last one the interface loses all routes (fib_del_ifaddr() of Linux).
    for (const [key, address] of addresses) {
      if (!this.#addresses.has(key) && this.#add(address)) this.#addresses.set(key, address);
    }
    for (const [key, address] of this.#addresses) {
      if (addresses.has(key)) continue;
      this.#addresses.delete(key);
      this.#delete(address);
    }
    for (const [key, route] of routes) {
      if (this.#routes.has(key)) continue;
      if (this.#send(addRoute(this.#index, route, Mode.New)) >= 0) this.#routes.set(key, route);
    }
  }

  #add(address: GuestAddress): boolean {
    return this.#send(addAddress(this.#index, address, Mode.New)) >= 0;
  }

  /**
   * With the first IPv4 address of a network its others go, too, unless promote_secondaries is set (ip-sysctl), and with the
   * last address of the interface all routes: one of the others is there under another length meanwhile.
   */
  #delete(address: GuestAddress): void {
    const others = this.#othersBeside(address);
    const [other] = others;
    const meanwhile = other === undefined ? null : { ...other, length: other.address.bits };
    if (meanwhile !== null) this.#add(meanwhile);
    this.#send(deleteAddress(this.#index, address));
    for (const each of others) this.#add(each);
    if (meanwhile !== null) this.#send(deleteAddress(this.#index, meanwhile));
  }

  /** Other IPv4 addresses of ours in the network of one. */
  #othersBeside(address: GuestAddress): readonly GuestAddress[] {
    if (address.address.family === 6) return [];
    const network = networkOf(address);
    return [...this.#addresses.values()].filter((other) => networkOf(other).equals(network));
  }
}

function addressesIn(plans: readonly AddressPlan[]): Map<string, GuestAddress> {
  return new Map(plans.flatMap(addressesOf).map((each) => [textOfAddress(each), each]));
}

function routesIn(plans: readonly AddressPlan[]): Map<string, Route> {
  return new Map(plans.flatMap(({ routes }) => routes).map((each) => [textOfRoute(each), each]));
}
