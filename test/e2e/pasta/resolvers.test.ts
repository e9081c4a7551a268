import { join } from "node:path";
import { httpName, link, served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Namespace } from "../../lab/namespace.ts";
import { expect, test } from "../fixture.ts";
import { Background } from "./background.ts";

// Where a guest with the host's addresses finds names.

/** The addresses of a name, as a server tells a program without a resolv.conf of its own. */
async function resolved(namespace: Namespace, server: string): Promise<string> {
  const query = ["+short", "+time=2", "+tries=2", `@${server}`, httpName];
  const { stdout, stderr } = await namespace.run(["dig", ...query, "A"]);
  return (stdout + stderr).trim();
}

/** The host's resolv.conf names another server, until the end. */
async function withResolver(lab: Lab, server: string): Promise<AsyncDisposable> {
  const file = join(lab.directory, "resolv.conf");
  const name = async (each: string) =>
    void (await lab.host.root.shell(`echo 'nameserver ${each}' > ${file}`));
  await name(server);
  return { [Symbol.asyncDispose]: () => name(served.dns) };
}

test("at --dns-forward, and there alone", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  await using _ = await Background.start(lab, ["--dns-forward", "192.0.2.53", `${namespace.pid}`]);
  expect(await resolved(namespace, "192.0.2.53")).toBe(served.http);
  expect(await resolved(namespace, served.dns)).toBe(served.http);
  expect(await resolved(namespace, link.world)).not.toContain(served.http);
});

test("at the gateway, where the host's resolver is on its loopback", async ({ lab }) => {
  // As systemd-resolved, at an address other than 127.0.0.1.
  const resolver = lab.host.root.spawn([
    ...["dnsmasq", "--conf-file=/dev/null", "--no-daemon", "--pid-file=", "--no-resolv"],
    ...["--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.53"],
    `--server=${served.dns}`,
  ]);
  await resolver.printed(/started/);
  await using _ = await withResolver(lab, "127.0.0.53");
  await using namespace = await lab.host.namespace();
  await using pasta = await Background.start(lab, [`${namespace.pid}`]);
  expect(await resolved(namespace, link.world)).toBe(served.http);
  await pasta[Symbol.asyncDispose]();

  await using closed = await lab.host.namespace();
  await using other = await Background.start(lab, ["--no-map-gw", `${closed.pid}`]);
  expect(await resolved(closed, link.world)).not.toContain(served.http);
  expect(other.isRunning).toBe(true);
  resolver.kill("SIGTERM");
  await resolver.ended(5_000);
});

test("from the resolvers that the host has later", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  await using before = await withResolver(lab, "192.0.2.1");
  await using _ = await Background.start(lab, ["--dns-forward", "192.0.2.53", `${namespace.pid}`]);
  expect(await resolved(namespace, "192.0.2.53")).not.toContain(served.http);
  await before[Symbol.asyncDispose]();
  await expect.poll(() => resolved(namespace, "192.0.2.53"), { timeout: 20_000 }).toBe(served.http);
});
