import { Address, includesAddress } from "../base/address.js";
import { type AddressPlan, ownAddresses } from "../config/address-plan.js";
import { translateDestination } from "../nat/translate.js";

/** For which addresses Slipway answers on the guest's link, by ARP and neighbour discovery, in one family. */
export class LinkAddresses {
  readonly #plan: AddressPlan;
  /** The same as a list, for translateDestination(). */
  readonly #reach: { readonly plans: readonly AddressPlan[] };
  /** Slipway's own, those that lead elsewhere, and the next hops of the guest's routes. */
  readonly #ours: readonly Address[];

  /** @param further addresses that are Slipway's own */
  constructor(plan: AddressPlan, ...further: readonly Address[]) {
    this.#plan = plan;
    this.#reach = { plans: [plan] };
    const mapped = plan.mapped.map(({ at }) => at);
    const nextHops = plan.routes.flatMap(({ via }) => via ?? []);
    this.#ours = [...ownAddresses([plan]), ...mapped, ...nextHops, ...further];
  }

  /**
   * Whether Slipway answers for an address: its own, and where the plan is a copy of the host's all that lead somewhere.
   * Never for the guest's own, nor for one that the guest is about to take, which only it knows: then its detection of
   * conflicts (RFC 4862 §5.4, RFC 5227) finds none.
   * @param detects whether the guest asks because it wants to have the address
   */
  answersFor(address: Address, detects: boolean): boolean {
    if (includesAddress(this.#ours, address)) return true;
    if (detects || this.#plan.neighbors === "nobody") return false;
    return translateDestination(this.#reach, address, 0) instanceof Address;
  }
}
