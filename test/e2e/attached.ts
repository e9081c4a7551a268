import { Agent, SocketError } from "../lab/agent/client.ts";
import type { Endpoint } from "../lab/agent/protocol.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process } from "../lab/process.ts";

/** A namespace that `slipway attach` serves, with both families, and sockets of a test in it. */
export interface Attached {
  readonly namespace: HeldNamespace;
  readonly process: Process;
  readonly agent: Agent;
}

export async function withAttached(
  lab: Lab,
  args: readonly string[],
  use: (attached: Attached) => Promise<void>,
): Promise<void> {
  const namespace = await lab.host.namespace();
  const agent = await Agent.start(namespace, lab.host.stage);
  const process = lab.host.slipway(
    ["attach", "--ready-fd", "3", "--ipv6-cidr", "fd00::/64", ...args, `${namespace.pid}`],
    { pipes: [3] },
  );
  try {
    await ready(process, 3);
    await use({ namespace, process, agent });
  } finally {
    if (process.running) process.kill("SIGTERM");
    await process.ended(10_000);
    await agent.close();
    await namespace.release();
  }
}

/** How a connection ends that is accepted and then reset: the client may not have seen the former. */
export async function endOf(agent: Agent, to: Endpoint): Promise<string | null> {
  try {
    return await (await agent.connect(to)).closed();
  } catch (error) {
    if (error instanceof SocketError) return error.code;
    throw error;
  }
}
