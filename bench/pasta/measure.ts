/** One measurement of a program in the role of pasta. */
import { setTimeout as delay } from "node:timers/promises";
import type { Cell, From, PastaLoad } from "../cells.ts";
import type { Durations } from "../durations.ts";
import type { Helper } from "../helpers/helper.ts";
import { PodmansPasta, SLIPWAY_PASTA } from "../helpers/podmans-pasta.ts";
import type { Metrics } from "../metrics.ts";
import { median } from "../stats.ts";
import { HelperMeter } from "../testbed.ts";
import { measureBulk, measurePublished } from "../workloads/bulk.ts";
import { measureDatagrams, measureRequests } from "../workloads/load.ts";
import { measureIdle, SETTLE_MS } from "../workloads/standing.ts";
import type { Workshop } from "../workshop.ts";
import { PastaHost } from "./bed.ts";

/** The namespaces are fresh, so any will do. */
const PORT = { hostPort: 8080, guestPort: 5201 } as const;

/** Guests of one daemon: what a single one adds is too little to be seen in the daemon's memory. */
const SHARING_GUESTS = 10;

const CLIENT_ADDRESSES: Record<From, string> = {
  loopback: "127.0.0.1",
  address: PastaHost.ADDRESS,
};

export async function measurePasta(
  workshop: Workshop,
  helper: Helper,
  cell: Cell,
  load: PastaLoad,
  durations: Durations,
): Promise<Metrics> {
  const pasta =
    helper instanceof PodmansPasta ? helper : new PodmansPasta(helper.name, [SLIPWAY_PASTA]);
  await using host = await PastaHost.create(workshop, pasta, cell);
  if (load.kind === "ready") return { ready: await medianStart(host, load.starts) };
  if (load.kind === "idle" && pasta.isShared) return await measureSharing(host);
  const guest = await host.guest();
  if (load.kind === "requests") {
    // Before pasta, which is told the port that the server got.
    await using server = guest.start([workshop.programs.load, "serve", "0.0.0.0"]);
    const guestPort = Number(await server.line());
    const meter = await host.connect(guest, { ...PORT, guestPort });
    const bed = host.testbed(guest, meter, "host");
    const target = { address: CLIENT_ADDRESSES[load.from], port: PORT.hostPort };
    return await measureRequests(bed, durations.load, target, load.clients);
  }
  const meter = await host.connect(guest, PORT);
  switch (load.kind) {
    case "bulk": {
      const transfer = { ...load, seconds: durations.bulk };
      return await measureBulk(host.testbed(guest, meter, "world"), transfer);
    }
    case "datagrams":
      return await measureDatagrams(host.testbed(guest, meter, "world"), durations.load, load);
    case "published": {
      const transfer = { direction: "up", streams: load.streams, seconds: durations.bulk } as const;
      const bed = host.testbed(guest, meter, "host");
      return await measurePublished(bed, PORT, transfer, CLIENT_ADDRESSES[load.from]);
    }
    case "idle":
      return await measureIdle(meter, durations.idle);
  }
}

/** Each has a port of its own, as the earlier ones go on. */
async function connectMany(host: PastaHost, count: number, first: number): Promise<HelperMeter[]> {
  const meters: HelperMeter[] = [];
  for (let i = 0; i < count; i++) {
    const publish = { ...PORT, hostPort: PORT.hostPort + first + i };
    meters.push(await host.connect(await host.guest(), publish));
  }
  return meters;
}

async function medianStart(host: PastaHost, starts: number): Promise<number> {
  const meters = await connectMany(host, starts, 0);
  return median(meters.map(({ readyMs }) => readyMs));
}

/** What each further guest adds, in the daemon and beside it. */
async function measureSharing(host: PastaHost): Promise<Metrics> {
  // The first ones bring memory into use that all share.
  const first = await connectMany(host, SHARING_GUESTS, 0);
  await delay(SETTLE_MS);
  const before = HelperMeter.together(first).memory();
  const further = await connectMany(host, SHARING_GUESTS, SHARING_GUESTS);
  await delay(SETTLE_MS);
  const after = HelperMeter.together([...first, ...further]).memory();
  const rss = (after.resident - before.resident) / SHARING_GUESTS / 1e6;
  if (after.privateDirty === null || before.privateDirty === null) return { rss };
  const privateMemory = (after.privateDirty - before.privateDirty) / SHARING_GUESTS / 1e6;
  return { rss, privateMemory };
}
