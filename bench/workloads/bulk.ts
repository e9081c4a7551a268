import type { PublishedPort } from "../helpers/helper.ts";
import {
  clientCommand,
  serverCommand,
  type Transfer,
  type TransferResult,
  transferResult,
  untilListening,
} from "../iperf3.ts";
import type { Metrics } from "../metrics.ts";
import { freePort, HOST_LOOPBACK, helperCost, type Testbed } from "../testbed.ts";

/** iperf3 in the guest, its server on the host. */
export async function measureBulk(bed: Testbed, transfer: Transfer): Promise<Metrics> {
  const { result, seconds } = await helperCost(bed, () => runBulk(bed, transfer));
  return bulkMetrics(result, seconds);
}

/** Only the transfer, as load for another workload. */
export async function runBulk(bed: Testbed, transfer: Transfer): Promise<TransferResult> {
  const port = await freePort();
  await using server = bed.startOnHost(serverCommand(port, bed.serverAddress));
  await untilListening(server);
  await using client = bed.startInGuest(clientCommand(bed.hostAddress, port, transfer));
  return await transferResult(client, transfer);
}

/** iperf3 on the host, its server in the guest behind a published port. */
export async function measurePublished(
  bed: Testbed,
  port: PublishedPort,
  transfer: Transfer,
  address = HOST_LOOPBACK,
): Promise<Metrics> {
  await using server = bed.startInGuest(serverCommand(port.guestPort, null));
  await untilListening(server);
  const { result, seconds } = await helperCost(bed, async () => {
    await using client = bed.startOnHost(clientCommand(address, port.hostPort, transfer));
    return await transferResult(client, transfer);
  });
  return bulkMetrics(result, seconds);
}

function bulkMetrics(result: TransferResult, cpuSeconds: number | null): Metrics {
  const throughput = result.bitsPerSecond / 1e9;
  if (cpuSeconds === null || result.bytes === 0) return { throughput };
  return { throughput, cpuPerGigabyte: cpuSeconds / (result.bytes / 1e9) };
}
