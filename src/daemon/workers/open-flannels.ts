import type { Loop } from "../../loop/loop.js";
import { FlannelTunnel } from "../../overlay/flannel/flannel-tunnel.js";
import type { Overlay } from "../../overlay/overlay.js";
import { duplicateFd } from "../../sys/duplicate-fd.js";
import type { FlannelSocket } from "./messages.js";

/** The tunnels of flannel networks of a thread, on copies of the daemon's sockets. */
export class OpenFlannels {
  readonly #loop: Loop;
  readonly #overlay: Overlay;
  /** By the networks' ids. */
  readonly #tunnels = new Map<string, FlannelTunnel>();

  constructor(loop: Loop, overlay: Overlay) {
    this.#loop = loop;
    this.#overlay = overlay;
  }

  get isEmpty(): boolean {
    return this.#tunnels.size === 0;
  }

  /** @throws UserError when no descriptor is left */
  open({ network, socket }: FlannelSocket): void {
    const trunk = this.#overlay.flannel(network);
    // It was removed meanwhile.
    if (trunk === null) return;
    this.close(network);
    const tunnel = new FlannelTunnel(duplicateFd(socket), trunk, this.#overlay.counts);
    this.#tunnels.set(network, tunnel);
    this.#loop.addTunnel(tunnel);
  }

  close(network: string): void {
    const tunnel = this.#tunnels.get(network);
    if (tunnel === undefined) return;
    this.#tunnels.delete(network);
    this.#loop.removeTunnel(tunnel);
    tunnel.close();
  }
}
