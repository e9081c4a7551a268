import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { build } from "esbuild";
import { expect, it, onTestFinished } from "vitest";
import type { EtcdOptions } from "../../src/config/store-options.ts";
import { Census } from "../lab/census.ts";
import { administrator, Etcd, freePorts } from "../lab/etcd.ts";
import { dropPrivileges } from "../lab/host.ts";
import { Namespace } from "../lab/namespace.ts";
import { node, root } from "../lab/product.ts";
import { optionsOf } from "./stores.ts";

/** Runs confined.ts as an unprivileged user, in the place of our program: the launcher prepares its sandbox. */
async function confined(options: EtcdOptions): Promise<unknown> {
  const tree = mkdtempSync(join(tmpdir(), "confined-"));
  onTestFinished(() => rmSync(tree, { recursive: true }));
  chmodSync(tree, 0o755);
  for (const folder of ["bin", "dist/build", "node_modules/.bin"]) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  const addon = createRequire(import.meta.url).resolve("node-tuntap2");
  copyFileSync(join(addon, "../build/tuntap2.node"), join(tree, "dist/build/tuntap2.node"));
  copyFileSync(join(root, "bin/slipway"), join(tree, "bin/slipway"));
  copyFileSync(realpathSync(node), join(tree, "node_modules/.bin/node"));
  await build({
    entryPoints: [join(root, "test/store/confined.ts")],
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile: join(tree, "dist/slipway.cjs"),
    logLevel: "warning",
  });
  const census = new Census();
  onTestFinished(() => census.end());
  const machine = new Namespace(census);
  const user = getuid?.() === 0 ? machine.behind(dropPrivileges()) : machine;
  const command = [join(tree, "bin/slipway"), JSON.stringify(options)];
  return JSON.parse(await user.output(command));
}

/** It has everything that it needs, and is told of everything. */
const complete = {
  locked: 0,
  confined: true,
  keys: ["key"],
  seen: ["current", "key", "-key"],
  events: [],
};

it("works behind the daemon's lock-down, also with an endpoint that refuses", async () => {
  await using etcd = await Etcd.create();
  const options = optionsOf(etcd);
  const [port] = await freePorts(1);
  const endpoints = [{ host: "localhost", port }, ...options.endpoints];
  expect(await confined({ ...options, endpoints })).toEqual(complete);
});

it("works there with TLS, certificates, user and password", async () => {
  await using etcd = await Etcd.create({ tls: "mutual" });
  await etcd.enableAuth([]);
  const password = { kind: "word", word: administrator.password } as const;
  const user = { name: administrator.name, password };
  expect(await confined(optionsOf(etcd, { user }))).toEqual(complete);
});
