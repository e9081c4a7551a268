import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { TestNamespace } from "../wire/netns.js";

/** Waits for its socket in a /run of its own, as /run is root's. $1: the interface. */
const SERVE = `
  mount -t tmpfs tmpfs /run && mkdir /run/wireguard && ip link set lo up || exit
  LOG_LEVEL=error wireguard-go -f "$1" 2>/dev/null &
  until [ -S "/run/wireguard/$1.sock" ]; do sleep 0.02; done
  echo ready
  wait
`;
const INTERFACE = "wg0";

/** Debian's wireguard-go, configured by wg(8), in a namespace of its own. */
export class WireGuardGo {
  readonly namespace: TestNamespace;
  readonly #server: ChildProcess;

  private constructor(namespace: TestNamespace, server: ChildProcess) {
    this.namespace = namespace;
    this.#server = server;
  }

  /** @param addresses of the interface, with their prefix lengths */
  static async start(addresses: readonly string[]): Promise<WireGuardGo> {
    const namespace = await TestNamespace.open();
    const entry = ["-t", `${namespace.pid}`, "-U", "-n", "--preserve-credentials"];
    const command = ["unshare", "-m", "--kill-child", "sh", "-c", SERVE, "sh", INTERFACE];
    const server = spawn("nsenter", [...entry, ...command], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    await once(server.stdout, "data");
    for (const address of addresses) {
      namespace.run("ip", "addr", "add", address, "dev", INTERFACE);
    }
    namespace.run("ip", "link", "set", INTERFACE, "mtu", "1420", "up");
    return new WireGuardGo(namespace, server);
  }

  /** `wg ARGUMENTS`. @returns what it prints */
  wg(...args: readonly string[]): string {
    return this.#inside("", "wg", ...args);
  }

  /** `wg setconf` with the text of a configuration. A pipe, as wg opens no socket by its name. */
  configure(text: string): void {
    this.#inside(text, "sh", "-c", `cat | wg setconf ${INTERFACE} /dev/stdin`);
  }

  /** `wg show wg0 WHAT`. */
  show(what: string): string {
    return this.wg("show", INTERFACE, what).trim();
  }

  #inside(input: string, ...command: readonly string[]): string {
    const entry = ["-t", `${this.#server.pid}`, "-U", "-n", "-m", "--preserve-credentials"];
    return execFileSync("nsenter", [...entry, ...command], { input, encoding: "utf8" });
  }

  /** Starts ping inside. @returns whether every echo was answered */
  async ping(address: string, count = 3, size = 56): Promise<boolean> {
    const entry = ["-t", `${this.namespace.pid}`, "-U", "-n", "--preserve-credentials"];
    const options = ["-c", `${count}`, "-i", "0.05", "-s", `${size}`, "-W", "10", address];
    const ping = spawn("nsenter", [...entry, "ping", ...options], { stdio: "ignore" });
    const [code] = await once(ping, "exit");
    return code === 0;
  }

  async close(): Promise<void> {
    const { pid } = this.#server;
    const exit = once(this.#server, "exit");
    if (pid !== undefined) process.kill(-pid);
    await exit;
    await this.namespace.close();
  }
}
