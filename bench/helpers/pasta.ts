import type { Launcher } from "../launch.ts";
import type { Namespace } from "../namespace.ts";
import {
  GATEWAY,
  GUEST,
  type Helper,
  type HelperOptions,
  type RunningHelper,
  startTimed,
} from "./helper.ts";

/** pasta, of the passt package. */
export class Pasta implements Helper {
  readonly name: string;
  readonly path: string;

  constructor(name: string, path: string) {
    this.name = name;
    this.path = path;
  }

  /**
   * Addresses are explicit, so that they do not depend on the host's; the gateway's leads to the
   * host's loopback by default. With ports "auto", the default, pasta would scan every second:
   * podman turns that off, too. pasta writes the pid file when initialisation is done.
   */
  start(launcher: Launcher, namespace: Namespace, options: HelperOptions): Promise<RunningHelper> {
    const { mtu, publish } = options;
    const ports = publish === null ? "none" : `127.0.0.1/${publish.hostPort}:${publish.guestPort}`;
    return startTimed(launcher, [
      this.path,
      ...["--foreground", "--quiet", "--config-net", "--ipv4-only"],
      ...["--address", GUEST, "--netmask", "24", "--gateway", GATEWAY],
      ...["--mtu", `${mtu}`, "--ns-ifname", "tap0", "--pid", "/dev/fd/3"],
      ...["--tcp-ports", ports, "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"],
      `${namespace.pid}`,
    ]);
  }
}
