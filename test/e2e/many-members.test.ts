import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { expect, test } from "./fixture.ts";
import { hashOf, NEIGHBOURS_TIMEOUT_MS, Neighbour } from "./neighbours.ts";

const MEMBERS = 200;
const MEBIBYTE = 1024 * 1024;

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
    const members = await Neighbour.start(lab.host, 0, MEMBERS);
    const before = await privateMemory(lab, daemon);
    const { addresses, seconds } = await Neighbour.connect(user, "many", members);
    const each = ((await privateMemory(lab, daemon)) - before) / MEMBERS;
    for (const [index, member] of members.entries()) {
      member.fetchFrom(addresses[(index + 1) % MEMBERS], index % 2 === 0 ? 4 : 6);
    }
    const fetched = await Neighbour.finish(members);
    const measured = `connected in ${seconds} s, ${each / MEBIBYTE} MiB each`;
    await annotate(measured, "measured");
    expect(fetched).toEqual(members.map((_, index) => hashOf((index + 1) % MEMBERS)));
    expect(each).toBeLessThan(1.5 * MEBIBYTE);
  },
  2 * NEIGHBOURS_TIMEOUT_MS,
);
