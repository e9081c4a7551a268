import { join } from "node:path";
import type { HeldNamespace } from "./namespace.ts";
import { root } from "./product.ts";
import type { Stage } from "./stage.ts";

/** What happens to every frame between host and world, in each direction. */
export interface Impairment {
  /** milliseconds */
  readonly delayMs: number;
  /** 0 to 100 */
  readonly lossPercent: number;
  /** 0 to 100: of frames that leave at once, before those that are delayed; none if not given */
  readonly reorderPercent?: number;
}

/** Connects the host, as its eth0, with the world's device `host`. */
export async function makeLink(
  stage: Stage,
  host: HeldNamespace,
  impairment: Impairment | undefined,
): Promise<void> {
  if (impairment === undefined) return makeVeth(stage, host);
  if (await hasNetem(stage)) return makeNetem(stage, host, impairment);
  return makeWire(stage, host, impairment);
}

async function makeVeth(stage: Stage, host: HeldNamespace): Promise<void> {
  await stage.namespace.shell(`ip link add host type veth peer name eth0 netns ${host.pid}`);
}

/** Some kernels are built without it. */
async function hasNetem(stage: Stage): Promise<boolean> {
  const outcome = await stage.namespace.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem"]);
  return outcome.code === 0;
}

async function makeNetem(stage: Stage, host: HeldNamespace, to: Impairment): Promise<void> {
  await makeVeth(stage, host);
  // A superframe would be lost as one. The queue holds 20 ms of 10 Gbit/s.
  const impair = (device: string) => `
    ip link set ${device} gso_max_segs 1
    tc qdisc add dev ${device} root netem limit 20000 ${netemOptions(to)}
  `;
  await stage.namespace.shell(impair("host"));
  await host.shell(impair("eth0"));
}

/** tc-netem(8) */
function netemOptions({ delayMs, lossPercent, reorderPercent = 0 }: Impairment): string {
  const reordering = reorderPercent === 0 ? "" : `reorder ${reorderPercent}%`;
  return `delay ${delayMs}ms loss ${lossPercent}% ${reordering}`;
}

/** Our own replacement for netem, see wire.c. */
async function makeWire(stage: Stage, host: HeldNamespace, to: Impairment): Promise<void> {
  const program = join(stage.directory, "wire");
  const source = stage.inside(join(root, "test/lab/wire.c"));
  await stage.namespace.output(["gcc", "-std=gnu17", "-O2", "-o", program, source]);
  const parts = [to.delayMs * 1_000, to.lossPercent * 10_000, (to.reorderPercent ?? 0) * 10_000];
  const figures = parts.map((it) => `${Math.round(it)}`);
  const peer = [`/proc/${host.pid}/ns/net`, "eth0"];
  const wire = stage.namespace.spawn([program, "host", ...peer, ...figures]);
  await wire.printed(/ready/);
  // Bursts wait in the queues of the TAPs, a thousand frames each by default.
  await stage.namespace.shell("ip link set host txqueuelen 20000");
  await host.shell("ip link set eth0 txqueuelen 20000");
}
