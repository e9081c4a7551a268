import { join } from "node:path";
import { link } from "../lab/addresses.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { userDirectory } from "./api-client.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, expect } from "./fixture.ts";

const test = base.runIf(isSlipway);

const PORT = 8090;
const ways = [`${link.host}:${PORT}`, `[${link.host6}]:${PORT}`];

/** nginx → an application → redis, in three namespaces, on two networks, one of them internal. */
class Shop {
  readonly #user: DaemonUser;
  readonly #directory: string;
  readonly #parts = new Map<string, Process>();

  private constructor(user: DaemonUser, directory: string) {
    this.#user = user;
    this.#directory = directory;
  }

  static async open(user: DaemonUser): Promise<Shop> {
    await user.ok("network", "create", "front", "--ipv6");
    await user.ok("network", "create", "back", "--ipv6", "--internal");
    const [front] = await user.inspect("front");
    const gateways = front.IPAM.Config.map(({ Gateway }) => Gateway);
    const directory = join(await userDirectory(user.lab), "shop");
    await user.lab.host.user.shell(files(directory, gateways));
    return new Shop(user, directory);
  }

  /** Starts or restarts a part. */
  start(part: keyof typeof commands): void {
    const { options, command } = commands[part](this.#directory);
    this.#parts.set(part, this.#user.run("--name", part, ...options, "--", ...command));
  }

  async kill(part: keyof typeof commands): Promise<void> {
    this.#parts.get(part)?.kill("SIGKILL");
    await this.#parts.get(part)?.exit;
  }

  /** How many requests the shop got, as redis counts them. */
  ask(at: string): Promise<number> {
    return eventually(async () => {
      for (const part of this.#parts.values()) {
        if (!part.running) throw new Error(part.describe());
      }
      const argv = ["curl", "-sS", "--fail", "-m", "20", `http://${at}/`];
      const text = await this.#user.lab.world.root.output(argv);
      return Number(/^asked (\d+) times$/m.exec(text)?.[1]);
    });
  }

  /** Runs a program beside one of the parts. */
  async beside(part: string, ...argv: string[]) {
    const pid = (await this.#user.members()).find(({ name }) => name === part)?.pid;
    const enter = ["nsenter", `--target=${pid}`, "--user", "--net", "--mount"];
    return this.#user.lab.host.user.run([...enter, "--preserve-credentials", ...argv]);
  }

  async close(): Promise<void> {
    for (const part of this.#parts.values()) part.kill("SIGKILL");
    await Promise.all([...this.#parts.values()].map((part) => part.exit));
  }
}

const commands = {
  web: (directory: string) => ({
    options: ["--network", "front", "-p", `${PORT}:80`],
    command: ["nginx", "-e", "stderr", "-c", join(directory, "nginx.conf")],
  }),
  app: (directory: string) => ({
    options: ["--network", "front:alias=api", "--network", "back"],
    command: ["socat", "TCP6-LISTEN:8000,fork,reuseaddr", `EXEC:${join(directory, "app")},stderr`],
  }),
  db: (directory: string) => ({
    options: ["--network", "back", "--alias", "redis"],
    command: [
      join(directory, "redis-server"),
      ...["--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--dir", "/tmp"],
    ],
  }),
};

/** redis-tools has the server's program under the name of one of its tools, and starts no service. */
function files(directory: string, gateways: readonly string[]): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/temp;`)
    .join(" ");
  const resolvers = gateways.map((each) => (each.includes(":") ? `[${each}]` : each)).join(" ");
  return `
    mkdir -p ${directory}
    ln -s /usr/bin/redis-check-rdb ${directory}/redis-server
    cat > ${directory}/app <<'END'
#!/bin/sh
read -r line
count=$(redis-cli -h redis INCR asked)
printf 'HTTP/1.0 200 OK\\r\\n\\r\\nasked %s times\\n' "$count"
END
    chmod 0755 ${directory}/app
    cat > ${directory}/nginx.conf <<'END'
      user root root; daemon off; master_process off; pid ${directory}/nginx.pid;
      events {}
      http {
        access_log off; ${temporary}
        resolver ${resolvers} valid=1s;
        server {
          listen 80; listen [::]:80;
          set $api http://api:8000;
          location / { proxy_pass $api; proxy_connect_timeout 2s; }
        }
      }
END
  `;
}

test("a shop of three tiers outlives its parts and the daemon", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  const shop = await Shop.open(user);
  for (const part of ["db", "app", "web"] as const) shop.start(part);
  let count = await shop.ask(ways[0]);
  const askBoth = async () => {
    for (const way of ways) {
      const next = await shop.ask(way);
      expect(next).toBeGreaterThan(count);
      count = next;
    }
  };
  await askBoth();

  // Nobody outside finds the database, nor does the web server, which is on the other network.
  const db = await user.addressesOf("db", "back");
  expect((await lab.world.agent.refusal({ address: link.host, port: 6379 })).code).toBe(
    "ECONNREFUSED",
  );
  for (const address of [db.v4, db.v6]) {
    const { code } = await shop.beside("web", "redis-cli", "-h", address, "PING");
    expect(code).not.toBe(0);
    expect((await shop.beside("app", "redis-cli", "-h", address, "PING")).stdout).toBe("PONG\n");
  }
  expect((await shop.beside("web", "getent", "hosts", "db")).code).not.toBe(0);
  expect((await shop.beside("app", "getent", "hosts", "db")).stdout).toContain(db.v6);
  expect((await shop.beside("db", "getent", "hosts", "web")).code).not.toBe(0);

  await shop.kill("app");
  shop.start("app");
  await askBoth();
  await shop.kill("web");
  shop.start("web");
  await askBoth();
  await user.kill();
  await askBoth();
  await user.ok("daemon", "stop");
  await user.ok("daemon", "start");
  await askBoth();

  // Its counts were in its memory; all find the new one by the old name.
  await shop.kill("db");
  shop.start("db");
  count = 0;
  await askBoth();
  await shop.close();
  await eventually(async () => expect(await user.members()).toEqual([]));
  expect((await user.ok("network", "prune")).split("\n").sort()).toEqual(["", "back", "front"]);
});
