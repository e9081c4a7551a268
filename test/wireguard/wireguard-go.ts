import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";

/** Waits for its socket in a /run of its own, as /run is root's. $1: the interface. */
const SERVE = `
  mount -t tmpfs tmpfs /run && mkdir /run/wireguard && ip link set lo up || exit
  LOG_LEVEL=error wireguard-go -f "$1" 2>/dev/null &
  until [ -S "/run/wireguard/$1.sock" ]; do sleep 0.02; done
  echo ready
  wait
`;
const INTERFACE = "wg0";

/** How to enter a namespace of a user namespace of its own, by a process in it. */
const entryOf = (pid: number) => ["-t", `${pid}`, "-U", "-n", "--preserve-credentials"];

/** Debian's wireguard-go, configured by wg(8), in a namespace. */
export class WireGuardGo {
  readonly #pid: number;
  readonly #server: ChildProcess;

  private constructor(pid: number, server: ChildProcess) {
    this.#pid = pid;
    this.#server = server;
  }

  /** @param pid of a process in the namespace @param addresses of the interface, with their prefix lengths */
  static async start(pid: number, addresses: readonly string[]): Promise<WireGuardGo> {
    const command = ["unshare", "-m", "--kill-child", "sh", "-c", SERVE, "sh", INTERFACE];
    const server = spawn("nsenter", [...entryOf(pid), ...command], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    await once(server.stdout, "data");
    const started = new WireGuardGo(pid, server);
    for (const address of addresses) started.addAddress(address);
    started.#inside("", "ip", "link", "set", INTERFACE, "mtu", "1420", "up");
    return started;
  }

  /** @param address with its prefix length */
  addAddress(address: string): void {
    this.#inside("", "ip", "addr", "add", address, "dev", INTERFACE);
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
    const options = ["-c", `${count}`, "-i", "0.05", "-s", `${size}`, "-W", "10", address];
    const ping = spawn("nsenter", [...entryOf(this.#pid), "ping", ...options], { stdio: "ignore" });
    const [code] = await once(ping, "exit");
    return code === 0;
  }

  async close(): Promise<void> {
    const { pid } = this.#server;
    const exit = once(this.#server, "exit");
    if (pid !== undefined) process.kill(-pid);
    await exit;
  }
}
