/*
 * A program for lock-down.test.ts: opens a store, locks itself down as the daemon does, and uses the store. It prints
 * what came of it as JSON.
 */
import { readFileSync } from "node:fs";
import native from "node-tuntap2";
import type { EtcdOptions } from "../../src/config/store-options.ts";
import { openEtcd } from "../../src/store/etcd/open.ts";
import { openMirror } from "../../src/store/mirror.ts";

/** As long as a lease that is not kept alive. */
const WAIT = 4_000;

async function main(): Promise<void> {
  const options = JSON.parse(process.argv.at(-1) ?? "") as EtcdOptions;
  const store = await openEtcd(options);
  const locked = native.lockDownDaemon(["/proc"], []);
  const confined = /^Seccomp:\t2$/m.test(readFileSync("/proc/self/status", "utf8"));

  const seen: string[] = [];
  const events: string[] = [];
  const mirror = openMirror(store, "", {
    onPut: ({ key }) => seen.push(key),
    onDelete: (key) => seen.push(`-${key}`),
    onState: (state) => seen.push(state),
  });
  const lease = await store.lease(2, {
    onLost: () => events.push("lost"),
    onAway: () => events.push("away"),
    onBack: () => events.push("back"),
  });
  await store.commit([], [{ kind: "put", key: "key", value: "value", lease }]);
  await new Promise((resolve) => setTimeout(resolve, WAIT));
  const { entries } = await store.list("");
  await lease.revoke();
  await new Promise((resolve) => setTimeout(resolve, 500));
  mirror.close();
  store.close();
  const keys = entries.map(({ key }) => key);
  process.stdout.write(`${JSON.stringify({ locked, confined, keys, seen, events })}\n`);
}

void main();
