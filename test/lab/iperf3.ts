import type { Endpoint } from "./agent/protocol.ts";
import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";

/** A server for one transfer at a time, until the namespace ends. */
export async function startIperf3(world: Namespace, address: string): Promise<Endpoint> {
  const port = 5201;
  const server = world.spawn([
    "iperf3",
    "--server",
    "--bind",
    address,
    "--port",
    `${port}`,
    "--forceflush",
  ]);
  await server.printed(/Server listening/);
  return { address, port };
}

/** Transfers as much as it can for some seconds. @returns megabits per second that arrived */
export async function iperf3(
  client: { spawn(argv: readonly string[]): Process },
  to: Endpoint,
  seconds: number,
  options: readonly string[] = [],
): Promise<number> {
  const target = ["--client", to.address, "--port", `${to.port}`, "--time", `${seconds}`];
  const run = client.spawn(["iperf3", ...target, "--json", ...options]);
  const { stdout } = await run.ended((seconds + 20) * 1_000);
  const result = JSON.parse(stdout);
  if (result.error !== undefined) throw new Error(result.error);
  return Math.round(result.end.sum_received.bits_per_second / 1e6);
}
