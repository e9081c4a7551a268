import { chownSync, copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Census } from "./census.ts";
import { Authority, type CertificateFiles } from "./certificates.ts";
import { dropPrivileges, userId } from "./host.ts";
import { Namespace } from "./namespace.ts";
import type { Outcome, Process } from "./process.ts";
import { root } from "./product.ts";

/** Where one member runs. Its user may be anybody. */
export interface EtcdPlace {
  readonly namespace: Namespace;
  /** Where clients and the other members reach it. */
  readonly address: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

/**
 * `server`: clients check its certificate. `mutual`: it checks theirs, too. `no gateway`: likewise, but its own
 * certificate is not good for clients, so that its JSON gateway cannot reach it.
 */
export type EtcdTls = "server" | "mutual" | "no gateway";

export interface EtcdOptions {
  /** Default: `size` members on this machine's loopback. */
  readonly places?: readonly EtcdPlace[];
  /** Default 1; a cluster has 3. */
  readonly size?: number;
  /** Default 127.0.0.1. */
  readonly address?: "127.0.0.1" | "::1";
  /** Seen from all places, and writable there; default: one below /tmp. */
  readonly directory?: string;
  readonly tls?: EtcdTls;
  /** The path of `etcdProgram` where the members run; default: it is reachable as it is. */
  readonly program?: string;
  /** Further options of the program. */
  readonly flags?: readonly string[];
}

/** What clients need with TLS. */
export interface EtcdCertificates {
  readonly authority: Authority;
  readonly client: CertificateFiles;
}

/** User and password of the administrator, after {@link Etcd.enableAuth}. */
export const administrator = { name: "root", password: "secret-of-root" };

const startLimitMs = 30_000;

/** A real etcd of Debian, run by an unprivileged user: one member, or a cluster of several. */
export class Etcd {
  readonly members: readonly EtcdMember[];
  readonly certificates: EtcdCertificates | null;
  readonly #namespace: Namespace;
  readonly #end: () => Promise<void>;
  #user: readonly string[] = [];

  private constructor(
    members: readonly EtcdMember[],
    certificates: EtcdCertificates | null,
    namespace: Namespace,
    end: () => Promise<void>,
  ) {
    this.members = members;
    this.certificates = certificates;
    this.#namespace = namespace;
    this.#end = end;
  }

  /** Takes about a second; three seconds with TLS or three members. */
  static async create(options: EtcdOptions = {}): Promise<Etcd> {
    const census = new Census();
    const places = options.places ?? (await loopback(options, census));
    const own = options.directory === undefined ? temporaryDirectory() : null;
    const directory = options.directory ?? own ?? "";
    const program = options.program ?? reachable(etcdProgram, directory);
    const { namespace } = places[0];
    const started: EtcdMember[] = [];
    const end = async (): Promise<void> => {
      await Promise.all(started.map((member) => member.kill()));
      await census.end();
      if (own !== null) rmSync(own, { recursive: true, force: true });
    };
    try {
      const certificates = await certify(places, directory, options.tls);
      const security = certificates === null ? [] : certificates.flags;
      const cluster = places.map((place, i) => `m${i}=${peerUrl(place)}`).join(",");
      const members = places.map((place, i) => {
        const flags = ["--initial-cluster", cluster, ...security, ...(options.flags ?? [])];
        const command = [program, "--data-dir", join(directory, `etcd-m${i}`), ...flags];
        return new EtcdMember(place, `m${i}`, certificates !== null, command);
      });
      started.push(...members);
      const etcd = new Etcd(members, certificates, namespace, end);
      await etcd.healthy();
      return etcd;
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** As `--store` takes it: `etcd://192.0.2.10:2379,192.0.2.11:2379`. */
  get url(): string {
    const hosts = this.members.map(({ place }) => hostPort(place.address, place.clientPort));
    return `${this.certificates === null ? "etcd" : "etcds"}://${hosts.join(",")}`;
  }

  /** Waits until all members answer, with a leader. */
  async healthy(): Promise<void> {
    const deadline = performance.now() + startLimitMs;
    for (;;) {
      const { code, stderr } = await this.run(["endpoint", "health", "--command-timeout=2s"]);
      if (code === 0) return;
      if (performance.now() > deadline) {
        const logs = this.members.map(({ process }) => process.stderr.slice(-2_000));
        throw new Error(`etcd does not start: ${stderr}\n${logs.join("\n")}`);
      }
      await delay(100);
    }
  }

  /** Runs etcdctl. @param input of its stdin, from which `put KEY` takes the value */
  run(args: readonly string[], input?: string): Promise<Outcome> {
    const endpoints = this.members.map(({ place }) => clientUrl(place, this.certificates !== null));
    const { certificates } = this;
    const security =
      certificates === null
        ? []
        : [
            ...["--cacert", certificates.authority.file],
            ...["--cert", certificates.client.cert, "--key", certificates.client.key],
          ];
    const command = ["etcdctl", `--endpoints=${endpoints.join(",")}`, ...security, ...this.#user];
    const env = { ETCDCTL_API: "3" };
    return this.#namespace.run([...command, ...args], {
      env,
      ...(input === undefined ? {} : { input }),
    });
  }

  /** Runs etcdctl, which must succeed. @returns its stdout */
  async ctl(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  async put(key: string, value: string): Promise<void> {
    await this.ctl(["put", key], value);
  }

  /** Value of each key that begins with `prefix`. */
  async read(prefix: string): Promise<Map<string, string>> {
    const text = await this.ctl(["get", "--prefix", "-w", "json", prefix]);
    const { kvs = [] } = JSON.parse(text) as { kvs?: { key: string; value?: string }[] };
    return new Map(kvs.map(({ key, value = "" }) => [plain(key), plain(value)]));
  }

  /** Deletes everything that begins with `prefix`. */
  async remove(prefix: string): Promise<void> {
    await this.ctl(["del", "--prefix", prefix]);
  }

  /** Forgets all revisions but the last. */
  async compact(): Promise<void> {
    const [status] = await this.#status();
    await this.ctl(["compact", "--physical", `${status.revision}`]);
  }

  /** The member that leads. */
  async leader(): Promise<EtcdMember> {
    const statuses = await this.#status();
    const index = statuses.findIndex(({ id, leader }) => id === leader);
    if (index < 0) throw new Error("etcd has no leader");
    return this.members[index];
  }

  /**
   * Makes it ask for users and passwords.
   * @param users name, password, and the prefix below which each may do everything; besides the administrator
   */
  async enableAuth(users: readonly { name: string; password: string; prefix: string }[]) {
    const { name, password } = administrator;
    await this.ctl(["user", "add", `${name}:${password}`]);
    await this.ctl(["user", "grant-role", name, "root"]);
    for (const user of users) {
      await this.ctl(["role", "add", user.name]);
      await this.ctl([
        "role",
        "grant-permission",
        user.name,
        "--prefix=true",
        "readwrite",
        user.prefix,
      ]);
      await this.ctl(["user", "add", `${user.name}:${user.password}`]);
      await this.ctl(["user", "grant-role", user.name, user.name]);
    }
    await this.ctl(["auth", "enable"]);
    this.#user = ["--user", `${name}:${password}`];
  }

  async #status(): Promise<{ id: number; leader: number; revision: number }[]> {
    const text = await this.ctl(["endpoint", "status", "-w", "json"]);
    const statuses = JSON.parse(text) as {
      Status: { header: { member_id: number; revision: number }; leader: number };
    }[];
    return statuses.map(({ Status: { header, leader } }) => ({
      id: header.member_id,
      leader,
      revision: header.revision,
    }));
  }

  close(): Promise<void> {
    return this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** One process of it. */
export class EtcdMember {
  readonly place: EtcdPlace;
  readonly #command: readonly string[];
  #process: Process;

  /** @param command the program with further options */
  constructor(place: EtcdPlace, name: string, tls: boolean, command: readonly string[]) {
    this.place = place;
    const [client, peer] = [clientUrl(place, tls), peerUrl(place)];
    this.#command = [
      ...[...command, "--name", name],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--logger", "zap", "--log-outputs", "stderr", "--log-level", "error"],
    ];
    this.#process = place.namespace.spawn(this.#command);
  }

  get process(): Process {
    return this.#process;
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exit;
  }

  /** Starts it again, with what it has on disk. {@link Etcd.healthy} waits until it answers. */
  restart(): void {
    this.#process = this.place.namespace.spawn(this.#command);
  }

  /** Its connections stay, and nothing answers. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }
}

const unpacked = join(root, "build/servers/usr/bin/etcd");

/** The server: scripts/setup unpacks its package where it is not installed, as it would start a service. */
export const etcdProgram = existsSync(unpacked) ? unpacked : "etcd";

/** A path of the program that our unprivileged user can reach, whatever the mode of directories above. */
function reachable(program: string, directory: string): string {
  if (program !== unpacked) return program;
  const copy = join(directory, "etcd");
  copyFileSync(program, copy);
  return copy;
}

/** Members on loopback, at free ports, with a user of their own if we are root. */
async function loopback(
  { size = 1, address = "127.0.0.1" }: EtcdOptions,
  census: Census,
): Promise<EtcdPlace[]> {
  const machine = new Namespace(census);
  const namespace = getuid?.() === 0 ? machine.behind(dropPrivileges()) : machine;
  const ports = await freePorts(2 * size);
  return Array.from({ length: size }, (_, i) => ({
    namespace,
    address,
    clientPort: ports[2 * i],
    peerPort: ports[2 * i + 1],
  }));
}

/** Ports that nobody listens on and that no connection gets by chance: below those of ip_local_port_range. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    held.push(server);
    ports.push(port);
  }
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "etcd-"));
  if (getuid?.() === 0) chownSync(directory, userId, userId);
  return directory;
}

async function certify(
  places: readonly EtcdPlace[],
  directory: string,
  tls: EtcdTls | undefined,
): Promise<(EtcdCertificates & { readonly flags: readonly string[] }) | null> {
  if (tls === undefined) return null;
  const authority = await Authority.create(places[0].namespace, join(directory, "tls"));
  const names = [...places.map(({ address }) => address), "localhost"];
  const server = await authority.sign(
    "server",
    names,
    tls === "no gateway" ? ["serverAuth"] : ["serverAuth", "clientAuth"],
  );
  const client = await authority.sign("client", [], ["clientAuth"]);
  const own = ["--cert-file", server.cert, "--key-file", server.key];
  const theirs = ["--client-cert-auth", "--trusted-ca-file", authority.file];
  return { authority, client, flags: tls === "server" ? own : [...own, ...theirs] };
}

function clientUrl({ address, clientPort }: EtcdPlace, tls: boolean): string {
  return `${tls ? "https" : "http"}://${hostPort(address, clientPort)}`;
}

function peerUrl({ address, peerPort }: EtcdPlace): string {
  return `http://${hostPort(address, peerPort)}`;
}

function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function plain(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
