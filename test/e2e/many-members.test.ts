import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway, node, root } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { expect, test } from "./fixture.ts";

const MEMBERS = 200;
const MEBIBYTE = 1024 * 1024;
/** How much each member serves, in bytes. */
const SIZE = MEBIBYTE;
/** Under load it has taken 70 s in all. */
const TIMEOUT_MS = 120_000;

/**
 * A namespace that prints its PID, serves SIZE bytes once, and fetches those of its neighbour when it gets the
 * address. It lives until it is told to end, as what its kernel has not sent yet would be lost.
 */
const MEMBER = `
  echo $$
  read address
  yes "member $1" | head -c ${SIZE} | socat -u - TCP6-LISTEN:7000,ipv6only=0 &
  socat -u TCP:$address:7000,retry=600,interval=0.1 - | sha256sum
  wait
  read end || true
`;

/** Connects one process after another. @returns their addresses, and how long that took */
const CONNECT = `
  const { Slipway } = require(process.argv[1]);
  (async () => {
    const slipway = await Slipway.open();
    const start = performance.now();
    const addresses = [];
    for (const pid of process.argv.slice(2)) {
      addresses.push((await slipway.connect({ network: "many" }, Number(pid))).addresses);
    }
    console.log(JSON.stringify({ addresses, seconds: (performance.now() - start) / 1000 }));
    slipway.close();
  })();
`;

function hashOf(member: number): string {
  const line = `member ${member}\n`;
  const bytes = line.repeat(Math.ceil(SIZE / line.length)).slice(0, SIZE);
  return createHash("sha256").update(bytes).digest("hex");
}

function start(lab: Lab, member: number): Process {
  const argv = ["unshare", "--map-root-user", "--net", "sh", "-euc", MEMBER, "sh"];
  return lab.host.user.spawn([...argv, `${member}`], { stdin: "pipe" });
}

async function privateMemory(lab: Lab, pid: string): Promise<number> {
  const rollup = await lab.host.root.output(["cat", `/proc/${pid}/smaps_rollup`]);
  return Number(/^Private_Dirty:\s+(\d+) kB$/m.exec(rollup)?.[1]) * 1024;
}

test.runIf(isSlipway)(
  `${MEMBERS} members fetch from their neighbours, all at once`,
  async ({ lab, annotate }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "many", "--ipv6");
    const daemon = (await user.ok("daemon", "status", "--format", "{{.pid}}")).trim();
    const members = Array.from({ length: MEMBERS }, (_, index) => start(lab, index));
    await Promise.all(members.map((member) => member.printed(/^\d+\n/, TIMEOUT_MS)));
    const before = await privateMemory(lab, daemon);
    const pids = members.map(({ stdout }) => stdout.trim());
    const library = lab.host.stage.inside(join(root, "dist/client.cjs"));
    const argv = [lab.host.stage.inside(node), "-e", CONNECT, library, ...pids];
    const options = { env: user.env, timeoutMs: TIMEOUT_MS };
    const { addresses, seconds } = JSON.parse(await lab.host.user.output(argv, options));
    const each = ((await privateMemory(lab, daemon)) - before) / MEMBERS;
    for (const [index, member] of members.entries()) {
      const [v4, v6] = addresses[(index + 1) % MEMBERS];
      member.child.stdin?.write(index % 2 === 0 ? `${v4}\n` : `[${v6}]\n`);
    }
    await Promise.all(members.map((member) => member.printed(/[0-9a-f]{64}/, TIMEOUT_MS)));
    for (const member of members) member.child.stdin?.end();
    await Promise.all(members.map((member) => member.ended(TIMEOUT_MS)));
    const measured = `connected in ${seconds} s, ${each / MEBIBYTE} MiB each`;
    await annotate(measured, "measured");
    const fetched = members.map(({ stdout }) => /[0-9a-f]{64}/.exec(stdout)?.[0]);
    expect(fetched).toEqual(members.map((_, index) => hashOf((index + 1) % MEMBERS)));
    expect(each).toBeLessThan(1.5 * MEBIBYTE);
  },
  2 * TIMEOUT_MS,
);
