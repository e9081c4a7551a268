import { join } from "node:path";
import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import type { Process } from "../../lab/process.ts";
import { userDirectory } from "../api-client.ts";
import { eventually } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

// nginx → an application → redis as in ../three-tiers.test.ts, but each on a host of its own; and those hosts die.

const test = clusterTest({ stores: 3 });

const PORT = 8090;

function files(directory: string, gateway: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/temp;`)
    .join(" ");
  return `
    mkdir -p -m 0777 ${directory}
    ln -sf /usr/bin/redis-check-rdb ${directory}/redis-server
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
        resolver ${gateway} valid=1s;
        server {
          listen 80;
          set $api http://api:8000;
          location / { proxy_pass $api; proxy_connect_timeout 2s; }
        }
      }
END
  `;
}

test("a shop of three tiers on three hosts outlives a host and the leader of etcd", async ({
  cluster,
}) => {
  const { hosts, lab } = cluster;
  const create = ["network", "create", "--driver", "overlay"];
  await hosts[0].ok(...create, "--ipv6", "front");
  await hosts[1].ok(...create, "--internal", "back");
  for (const name of ["front", "back"]) {
    await Promise.all(hosts.map((host) => eventually(() => host.inspect(name))));
  }
  const [front] = await hosts[0].inspect("front");
  const [{ Gateway: gateway }] = front.IPAM.Config;
  const directory = join(await userDirectory({ host: lab.hosts[0] }), "shop");
  await lab.hosts[0].user.shell(files(directory, gateway));
  const redis = ["--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--dir", "/tmp"];
  const serve = [
    "socat",
    "TCP6-LISTEN:8000,fork,reuseaddr",
    `EXEC:${join(directory, "app")},stderr`,
  ];
  const startApp = () =>
    hosts[1].run(
      "--network",
      "front:alias=api",
      "--network",
      "back",
      "--name",
      "app",
      "--",
      ...serve,
    );
  const parts: Process[] = [
    hosts[2].run(
      "--network",
      "back",
      "--alias",
      "redis",
      "--name",
      "db",
      "--",
      join(directory, "redis-server"),
      ...redis,
    ),
    startApp(),
    hosts[0].run(
      "--network",
      "front",
      "--name",
      "web",
      "-p",
      `${PORT}:80`,
      "--",
      "nginx",
      "-e",
      "stderr",
      "-c",
      join(directory, "nginx.conf"),
    ),
  ];
  let count = 0;
  const ask = () =>
    eventually(async () => {
      for (const part of parts) if (!part.running) throw new Error(part.describe());
      const curl = ["curl", "-sS", "--fail", "-m", "20", `http://${underlay.host(0)}:${PORT}/`];
      const text = await lab.stage.namespace.output(curl);
      const next = Number(/^asked (\d+) times$/m.exec(text)?.[1]);
      expect(next).toBeGreaterThan(count);
      count = next;
    }, 60_000);
  await ask();

  // The web server is not on the network of the database.
  const pid = (await hosts[0].members()).find(({ name }) => name === "web")?.pid;
  const enter = [
    "nsenter",
    `--target=${pid}`,
    "--user",
    "--net",
    "--mount",
    "--preserve-credentials",
  ];
  const db = await hosts[2].addressesOf("db", "back");
  const beside = await hosts[0].host.user.run([...enter, "redis-cli", "-h", db.v4, "PING"]);
  expect(beside.stdout).not.toContain("PONG");

  const leader = await lab.etcd.leader();
  await leader.kill();
  await ask();
  leader.restart();
  await lab.etcd.healthy();
  await hosts[2].kill();
  await ask();

  // The application's host is cut off, and another starts the application in its place.
  await lab.stage.namespace.shell(`ip link set ${lab.linkOf(1)} down`);
  await eventually(async () => {
    const gone = (await hosts[0].inspect("front"))[0].Containers;
    expect(Object.values(gone).map(({ Name }) => Name)).toEqual(["web"]);
  }, 60_000);
  const heir = hosts[2].run(
    ...["--network", "front:alias=api", "--network", "back", "--name", "app2", "--", ...serve],
  );
  parts.push(heir);
  await ask();
  await lab.stage.namespace.shell(`ip link set ${lab.linkOf(1)} up`);
  await ask();
  for (const part of parts) part.kill("SIGKILL");
  await Promise.all(parts.map((part) => part.exit));
});
