import type { Address } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import { pathMtu } from "../sys/sockets/socket.js";

/** The least MTU of IPv6 (RFC 8200 §5): members are told of no less, and the kernel fragments what is left. */
const LEAST_MTU = 1280;
/** After so many ms the MTU that members were told is tried again (RFC 1191 §6.3). */
const MTU_MEMORY = 600_000;

/** The longest IP packet that a way through a tunnel takes: the network's MTU, or less where the path is narrower. */
export class PathMtu {
  readonly #most: number;
  #mtu: number;
  #loweredAt = 0;

  /** @param most the network's MTU */
  constructor(most: number) {
    this.#most = most;
    this.#mtu = most;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** Whether it takes less than the network's MTU. */
  get isNarrow(): boolean {
    if (this.#mtu === this.#most) return false;
    if (monotonicMs() - this.#loweredAt > MTU_MEMORY) this.#mtu = this.#most;
    return this.#mtu < this.#most;
  }

  /** The kernel refused what the network's MTU allows: asks it for the path's. @param overhead of the tunnel, in bytes */
  learn(address: Address, overhead: number): void {
    this.#mtu = Math.min(Math.max(pathMtu(address) - overhead, LEAST_MTU), this.#most);
    this.#loweredAt = monotonicMs();
  }
}
