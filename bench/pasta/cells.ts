/** What is measured of a program in the role of pasta: the table of what Slipway has to reach. Declarations only. */
import type { Cell, From, PastaLoad } from "../cells.ts";

/** What podman leaves to pasta, and what most networks have. */
const MTUS = [65_520, 1500] as const;
const HEADINGS = { up: "guest → world", down: "world → guest" } as const;
const HEADS = ["up", "down"] as const;
const FROM: Record<From, string> = {
  loopback: "from the host's loopback",
  address: "from the host's address",
};
const FROMS = ["loopback", "address"] as const;

function cell(id: string, title: string, load: PastaLoad, mtu = 65_520): Cell {
  return {
    id: `pasta-${id}`,
    title,
    workload: { kind: "pasta", load },
    mtu,
    congestion: "reno",
    quick: false,
  };
}

export const PASTA_CELLS: readonly Cell[] = [
  ...MTUS.flatMap((mtu) =>
    [1, 8].flatMap((streams) =>
      HEADS.map((direction) =>
        cell(
          `tcp-${streams}-${direction}-${mtu}`,
          `${HEADINGS[direction]}, ${streams === 1 ? "one stream" : `${streams} streams`}, MTU ${mtu}`,
          { kind: "bulk", direction, streams },
          mtu,
        ),
      ),
    ),
  ),
  ...FROMS.map((from) =>
    cell(`published-${from}`, `published port, ${FROM[from]}`, {
      kind: "published",
      from,
      streams: 1,
    }),
  ),
  ...FROMS.map((from) =>
    cell(`requests-${from}`, `requests of 32 clients to a published port, ${FROM[from]}`, {
      kind: "requests",
      from,
      clients: 32,
    }),
  ),
  ...HEADS.map((direction) =>
    cell(`udp-${direction}`, `1,400-byte datagrams without loss, ${HEADINGS[direction]}`, {
      kind: "datagrams",
      direction,
      size: 1400,
      segments: 1,
    }),
  ),
  cell("ready", "start, with podman's options", { kind: "ready", starts: 10 }),
  cell("idle", "idle", { kind: "idle" }),
];
