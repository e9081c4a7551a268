import { env } from "node:process";
import { expect } from "vitest";
import type { Member } from "../daemon-user.ts";
import { eventually } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

// Members of three hosts that all fetch from one on another host at once.

/** Members on each host: few unless somebody asks for more, as SLIPWAY_CROWD=100. */
const { SLIPWAY_CROWD: size = "5" } = env;
const COUNT = Number(size);
const KIBIBYTES = 1024;

const test = clusterTest();

test("everybody fetches from a member on another host at once, and hashes are equal", {
  timeout: 120_000 + COUNT * 10_000,
}, async ({ cluster }) => {
  const { hosts } = cluster;
  await hosts[0].ok(
    "network",
    "create",
    "--driver",
    "overlay",
    "--subnet",
    "10.250.0.0/16",
    "crowd",
  );
  await Promise.all(hosts.map((host) => eventually(() => host.inspect("crowd"))));
  const members = await Promise.all(
    hosts.map(async (host, index) => {
      const own: Member[] = [];
      for (let each = 0; each < COUNT; each += 1) {
        const member = await host.member("crowd", `m${index}-${each}`);
        await member.agent.close();
        own.push(member);
      }
      return own;
    }),
  );
  const file = (name: string) => `${hosts[0].host.stage.directory}/${name}.data`;
  const sums = new Map<string, string>();
  for (const { name, namespace } of members.flat()) {
    const make = `head -c ${KIBIBYTES * 1024} /dev/urandom > ${file(name)}; sha256sum < ${file(name)}`;
    sums.set(name, await namespace.shell(make));
    namespace.spawn(["socat", "-U", "TCP-LISTEN:8000,fork,reuseaddr", `FILE:${file(name)}`]);
  }
  const fetches = members.flatMap((own, index) =>
    own.map(async ({ namespace }, each) => {
      const from = members[(index + 1) % members.length][each].name;
      const script = `socat -u TCP:${from}:8000,retry=100,interval=0.1 STDOUT | sha256sum`;
      const options = { timeoutMs: 60_000 + COUNT * 5_000 };
      expect(await namespace.output(["sh", "-c", script], options)).toBe(sums.get(from));
    }),
  );
  await Promise.all(fetches);
});
