import type { Loop } from "../../loop/loop.js";
import type { Overlay } from "../../overlay/overlay.js";
import type { Tunnel } from "../../overlay/tunnel.js";
import { VxlanTunnel } from "../../overlay/vxlan/vxlan-tunnel.js";
import type { WireguardTunnel } from "../../overlay/wireguard/wireguard-tunnel.js";
import { duplicateFd } from "../../sys/duplicate-fd.js";
import type { TunnelConfig } from "./messages.js";

/** Code that only a thread with overlays loads; null: it is not needed. */
export type WireguardCode = typeof WireguardTunnel | null;

/** Loads the code that a configuration asks for. */
export async function loadWireguard({ wireguard }: TunnelConfig): Promise<WireguardCode> {
  if (wireguard.length === 0) return null;
  const module = await import("../../overlay/wireguard/wireguard-tunnel.js");
  return module.WireguardTunnel;
}

/** The tunnels of a thread, on copies of the daemon's sockets. */
export class OpenTunnels {
  readonly #loop: Loop;
  readonly #overlay: Overlay;
  readonly #tunnels: readonly Tunnel[];

  /** @throws UserError when no descriptor is left */
  constructor(config: TunnelConfig, loop: Loop, overlay: Overlay, code: WireguardCode) {
    this.#loop = loop;
    this.#overlay = overlay;
    const vxlan =
      config.vxlan.length === 0 ? null : new VxlanTunnel(config.vxlan.map(duplicateFd), overlay);
    const wireguard =
      code === null
        ? null
        : new code(config.wireguard.map(duplicateFd), config.privateKey, overlay);
    this.#tunnels = [vxlan, wireguard].filter((tunnel) => tunnel !== null);
    for (const tunnel of this.#tunnels) loop.addTunnel(tunnel);
    overlay.use({ vxlan, wireguard });
  }

  close(): void {
    this.#overlay.use({ vxlan: null, wireguard: null });
    for (const tunnel of this.#tunnels) {
      this.#loop.removeTunnel(tunnel);
      tunnel.close();
    }
  }
}
