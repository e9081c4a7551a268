/** Peers of overlays: what two hosts have besides Slipway (overlay.ts). */
import { type Helper, NotAvailable, type RunningHelper } from "./helper.ts";

abstract class Tunnel implements Helper {
  abstract readonly name: string;
  readonly path: string;
  readonly part = "overlay";

  constructor(path: string) {
    this.path = path;
  }

  async start(): Promise<RunningHelper> {
    throw new NotAvailable("measured between hosts only");
  }
}

/** Nothing: the hosts themselves, over the link between them. */
export class Underlay extends Tunnel {
  static readonly NAME = "underlay";
  readonly name = Underlay.NAME;
  readonly versionOption = "-V";
}

/** The kernel's vxlan devices, one on each host. */
export class Vxlan extends Tunnel {
  static readonly NAME = "vxlan";
  readonly name = Vxlan.NAME;
  readonly versionOption = "-V";
  readonly encrypts = false;
}

/** WireGuard in user space, in Go, with one TUN device on each host. */
export class WireguardGo extends Tunnel {
  static readonly NAME = "wireguard-go";
  readonly name = WireguardGo.NAME;
  readonly encrypts = true;
}
