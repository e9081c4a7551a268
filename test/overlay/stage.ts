import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import type { Mac } from "../../src/base/mac.js";
import { defaultRoute } from "../../src/config/address-plan.js";
import { Executor } from "../../src/daemon/workers/executor.js";
import type {
  Call,
  CallName,
  CallParams,
  CallResult,
  Fact,
  FromWorker,
  OverlayFact,
  RemoteFact,
  SubnetFact,
} from "../../src/daemon/workers/messages.js";
import type { Loop } from "../../src/loop/loop.js";
import { openAgent } from "../../src/netns/agent.js";
import { openTap } from "../../src/netns/tap.js";
import { memberPlan, parseAddress, parseSubnet } from "../../src/network/plans.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { bindSocket } from "../../src/sys/sockets/socket.js";

const run = promisify(execFile);
const children = new Set<ChildProcess>();

/** Ends what was started, and with it all namespaces. */
export function endStage(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}

/** A network namespace, held by a process in it. */
export class Place {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  /** The first one, in a user namespace of its own. */
  static make(): Promise<Place> {
    return hold(["unshare", "-Urn"]);
  }

  /** Another one in the same user namespace. */
  beside(): Promise<Place> {
    const enter = ["nsenter", "-t", `${this.pid}`, "-U", "--preserve-credentials"];
    return hold([...enter, "unshare", "-n"]);
  }

  get #enter(): readonly string[] {
    return ["-t", `${this.pid}`, "-U", "-n", "--preserve-credentials"];
  }

  /** @returns what a shell script prints, each of whose commands must succeed */
  async shell(script: string): Promise<string> {
    const argv = [...this.#enter, "sh", "-euc", script];
    const { stdout } = await run("nsenter", argv, { timeout: 30_000, maxBuffer: 1 << 26 });
    return stdout;
  }

  spawn(argv: readonly string[]): ChildProcess {
    const child = spawn("nsenter", [...this.#enter, ...argv], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.add(child);
    return child;
  }

  get namespace() {
    return { netns: `/proc/${this.pid}/ns/net`, userns: null };
  }
}

async function hold(prefix: readonly string[]): Promise<Place> {
  const [program, ...rest] = [...prefix, "sh", "-c", "ip link set lo up; echo $$; exec cat"];
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"] });
  children.add(child);
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (data: Buffer) => resolve(data.toString()));
    child.once("exit", () => reject(new Error(`${prefix.join(" ")} ended`)));
  });
  return new Place(Number.parseInt(line, 10));
}

/** The addresses of the two hosts on the underlay, by family. */
export const UNDERLAY = {
  4: ["192.0.2.1", "192.0.2.2"],
  6: ["2001:db8::1", "2001:db8::2"],
} as const;

/** Two hosts joined by a veth pair `eth0`, whose checksums are computed: no network card would send others. */
export async function makeUnderlay(mtu = 1500): Promise<readonly [Place, Place]> {
  const one = await Place.make();
  const two = await one.beside();
  await one.shell(`ip link add eth0 type veth peer name eth0 netns ${two.pid}`);
  for (const [index, place] of [one, two].entries()) {
    await place.shell(`
      sysctl -qw net.ipv6.conf.eth0.accept_dad=0
      ip addr add ${UNDERLAY[4][index]}/24 dev eth0
      ip addr add ${UNDERLAY[6][index]}/64 dev eth0 nodad
      ip link set eth0 mtu ${mtu} up`);
  }
  return [one, two];
}

export const NETWORK = "ov";
const SUBNETS: readonly SubnetFact[] = [
  { prefix: "10.101.0.0/16", gateway: "10.101.0.1" },
  { prefix: "fd00:101::/64", gateway: "fd00:101::1" },
];
export const VNI = 42;

/** A member of the overlay. */
export interface Member {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly mac: Mac;
}

/** @param number 2..254 */
export function member(name: string, number: number): Member {
  const addresses = [`10.101.0.${number}`, `fd00:101::${number.toString(16)}`];
  return { name, addresses, mac: 0x0242_0a65_0000 + number };
}

/** The data plane of one host, as a thread of its daemon would have it. */
export class Host {
  readonly place: Place;
  readonly executor: Executor;
  /** Of its network. */
  #subnets = SUBNETS;
  readonly #answers = new Map<number, (message: FromWorker) => void>();
  #calls = 0;
  #attachments = 0;

  constructor(loop: Loop, place: Place) {
    this.place = place;
    this.executor = new Executor({
      loop,
      upstream: { servers: [], search: [] },
      publish: () => [],
      tell: (message) => this.#onMessage(message),
    });
  }

  #onMessage(message: FromWorker): void {
    if (message.kind === "result" || message.kind === "failure")
      this.#answers.get(message.number)?.(message);
  }

  learn(key: string, fact: Fact): void {
    this.executor.onMessage({ kind: "learn", key, fact });
  }

  call<C extends CallName>(name: C, params: CallParams<C>): Promise<CallResult<C>> {
    this.#calls += 1;
    const number = this.#calls;
    return new Promise((resolve, reject) => {
      this.#answers.set(number, (message) => {
        if (message.kind === "result") resolve(message.result as CallResult<C>);
        else reject(new Error(message.kind === "failure" ? message.message : message.kind));
      });
      // The name and the parameters are of one call.
      this.executor.onMessage({ kind: "call", number, call: { name, params } as Call });
    });
  }

  /** @param address where it takes datagrams of tunnels @param privateKey for WireGuard, 32 bytes */
  async open(
    overlay: OverlayFact,
    address: string,
    port: number,
    mtu: number,
    privateKey: Uint8Array = new Uint8Array(32),
  ): Promise<void> {
    this.#learnNetwork(overlay, mtu);
    const socket = socketIn(this.place, address, port);
    const sockets = { vxlan: [], wireguard: [], [overlay.kind]: [socket] };
    await this.call("open tunnels", { ...sockets, privateKey });
    native.close(socket);
  }

  /** @param subnet of this host, as 10.5.1 */
  async openFlannel(
    overlay: OverlayFact & { readonly kind: "flannel" },
    subnet: string,
    address: string,
    mtu: number,
  ): Promise<void> {
    this.#subnets = [{ prefix: `${subnet}.0/24`, gateway: `${subnet}.1` }];
    this.#learnNetwork(overlay, mtu);
    const socket = socketIn(this.place, address, overlay.port);
    await this.call("open flannel", { network: NETWORK, socket });
    native.close(socket);
  }

  #learnNetwork(overlay: OverlayFact, mtu: number): void {
    this.learn("network", {
      kind: "network",
      id: NETWORK,
      name: NETWORK,
      subnets: this.#subnets,
      internal: false,
      mtu,
      overlay,
    });
  }

  learnRemote({ name, addresses, mac }: Member, location: RemoteFact["location"]): void {
    const names = [name];
    this.learn(`remote ${name}`, {
      kind: "remote",
      network: NETWORK,
      names,
      addresses,
      mac,
      location,
    });
  }

  /** @param port of its tunnels @param key its public key for WireGuard, 32 bytes */
  learnHost(id: string, address: string, port: number, key: Uint8Array = new Uint8Array(32)): void {
    const publicKey = Buffer.from(key).toString("base64");
    this.learn(`host ${id}`, {
      kind: "host",
      id,
      address,
      vxlanPort: port,
      wireguardPort: port,
      publicKey,
    });
  }

  /** @returns the member's namespace */
  async join({ name, addresses, mac }: Member, mtu: number): Promise<Place> {
    const place = await this.place.beside();
    const plans = addresses.map((text) => {
      const address = parseAddress(text);
      const subnet = this.#subnets
        .map((each) => parseSubnet(each.prefix, each.gateway))
        .find(({ prefix }) => prefix.contains(address));
      if (subnet === undefined) throw new Error(`${text} is in no subnet`);
      const plan = memberPlan(subnet, address);
      return { ...plan, routes: [defaultRoute(plan.router)] };
    });
    const tap = openTap(place.namespace, "eth0", { plans, mtu, mac, txqueuelen: 10_000 });
    this.learn(`member ${name}`, { kind: "member", id: name, networks: [NETWORK] });
    this.learn(`name ${name}`, { kind: "name", network: NETWORK, names: [name], addresses });
    this.#attachments += 1;
    await this.call("attach", {
      attachment: this.#attachments,
      config: {
        network: NETWORK,
        member: name,
        mac,
        addresses,
        hostname: name,
        hosts: [],
        dns: [],
        hostLoopback: false,
        sources: [],
        tap: tap.fd,
      },
    });
    native.close(tap.fd);
    return place;
  }

  /** Drops of its tunnels, by reason. */
  async drops(): Promise<Readonly<Record<string, number>>> {
    return (await this.call("tunnel statistics", null))?.drops ?? {};
  }

  /** Drops of its members, by reason. */
  async memberDrops(): Promise<Readonly<Record<string, number>>> {
    const [{ drops }] = await this.call("statistics", null);
    return drops;
  }
}

/** A socket of another namespace, bound. */
function socketIn(place: Place, text: string, port: number): number {
  const address = parseAddress(text);
  const agent = openAgent(place.namespace);
  const domain = address.family === 4 ? Socket.Inet : Socket.Inet6;
  const fd = native.agentSocket(agent, domain, Socket.Datagram, 0);
  native.closeAgent(agent);
  const bound = fd < 0 ? fd : bindSocket(fd, address, port);
  if (bound < 0) throw new Error(`no socket at ${text}: ${bound}`);
  return fd;
}
