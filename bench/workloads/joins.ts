/** Members that join an overlay on one host, until they can be reached by name from the other. */
import type { Metrics } from "../metrics.ts";
import type { OverlayTestbed } from "../overlay.ts";
import { quantile } from "../stats.ts";

const NAME_SERVICE = "53";

/**
 * Latency from the end of the command that joins to the first answer, and from its start. A program on the other host
 * asks for the name from the start on (programs/reach.h); its clock is ours.
 */
export async function measureJoins(bed: OverlayTestbed, joins: number): Promise<Metrics> {
  const { joining, programs } = bed;
  if (joining === null) throw new Error("nothing joins it");
  await using reach = bed.startOnHost([programs.load, "reach", joining.nameServer, NAME_SERVICE]);
  await reach.line();
  const delays: number[] = [];
  const totals: number[] = [];
  for (let index = 0; index < joins; index++) {
    const name = `joiner-${index}`;
    await using candidate = await joining.candidate();
    const began = process.hrtime.bigint();
    reach.send(name);
    await candidate.join(name);
    const joined = process.hrtime.bigint();
    const reached = BigInt(await reach.line());
    delays.push(Math.max(0, Number(reached - joined)) / 1e3);
    totals.push(Number(reached - began) / 1e6);
  }
  return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), ready: quantile(totals, 0.5) };
}
