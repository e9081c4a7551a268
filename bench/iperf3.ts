/** iperf3's command lines and its JSON. */
import * as v from "valibot";
import type { Direction } from "./cells.ts";
import type { Program } from "./launch.ts";

export interface Transfer {
  readonly seconds: number;
  readonly direction: Direction;
  readonly streams: number;
  /** Bytes per write, without Nagle; iperf3's own 128 KiB if not given. */
  readonly writeSize?: number | undefined;
  /** Bits per second of each stream; unlimited if not given. */
  readonly pace?: number | undefined;
}

export interface TransferResult {
  /** Bytes that arrived, both directions together. */
  readonly bytes: number;
  /** Likewise. */
  readonly bitsPerSecond: number;
}

const DIRECTION_OPTIONS: Record<Direction, readonly string[]> = {
  up: [],
  down: ["--reverse"],
  both: ["--bidir"],
};

/** Time beyond the transfer: connecting, and draining a slow helper's queues. */
const GRACE_MS = 10_000;

/** A server for one transfer. */
export function serverCommand(port: number, address: string | null): string[] {
  const bind = address === null ? [] : ["--bind", address];
  return ["iperf3", "--server", "--one-off", "--forceflush", "--port", `${port}`, ...bind];
}

export function clientCommand(address: string, port: number, transfer: Transfer): string[] {
  const { seconds, direction, streams, writeSize, pace } = transfer;
  return [
    ...["iperf3", "--json", "--interval", "0", "--client", address, "--port", `${port}`],
    ...["--time", `${seconds}`, "--parallel", `${streams}`, ...DIRECTION_OPTIONS[direction]],
    ...(writeSize === undefined ? [] : ["--length", `${writeSize}`, "--no-delay"]),
    ...(pace === undefined ? [] : ["--bitrate", `${pace}`]),
  ];
}

/** Returns once the server listens. */
export async function untilListening(server: Program): Promise<void> {
  while (!(await server.line()).startsWith("Server listening"));
}

/** Waits for a client to end. */
export async function transferResult(client: Program, transfer: Transfer): Promise<TransferResult> {
  return parseIperf3(await client.completed(transfer.seconds * 1000 + GRACE_MS));
}

const sum = v.object({ bytes: v.number(), bits_per_second: v.number() });
const reportSchema = v.object({
  error: v.optional(v.string()),
  end: v.object({
    sum_received: v.optional(sum),
    sum_received_bidir_reverse: v.optional(sum),
  }),
});

/**
 * The receivers' totals: data that was sent and never arrived is not throughput.
 * @throws Error with iperf3's message if the transfer failed.
 */
export function parseIperf3(json: string): TransferResult {
  const { error, end } = v.parse(reportSchema, JSON.parse(json));
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  if (end.sum_received === undefined) throw new Error("iperf3: no totals in its report");
  const back = end.sum_received_bidir_reverse ?? { bytes: 0, bits_per_second: 0 };
  return {
    bytes: end.sum_received.bytes + back.bytes,
    bitsPerSecond: end.sum_received.bits_per_second + back.bits_per_second,
  };
}
