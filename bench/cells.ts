/** What is measured: one cell is one workload in one setting. Declarations only. */

export type Direction = "up" | "down" | "both";

export type Workload =
  /** iperf3 between guest and host; up is from the guest to the host. */
  | {
      readonly kind: "bulk";
      readonly direction: Direction;
      readonly streams: number;
      readonly writeSize?: number;
    }
  /** iperf3 from the host to a server in the guest, through a published port. */
  | { readonly kind: "published"; readonly streams: number }
  /** One byte each way on one connection, one at a time. */
  | { readonly kind: "transactions" }
  /** One of these between two members of a network; the latter also beside a third's flood of small datagrams. */
  | { readonly kind: "members"; readonly load: MembersLoad }
  /** One of these between members on two hosts; the underlay between them has this link, or loses nothing. */
  | {
      readonly kind: "overlay";
      readonly encrypted: boolean;
      readonly load: OverlayLoad;
      readonly link?: Link;
    }
  /** One of these with pasta's command line and podman's options (pasta/bed.ts). */
  | { readonly kind: "pasta"; readonly load: PastaLoad }
  /** The same beside this many bulk streams. */
  | {
      readonly kind: "transactions-under-bulk";
      readonly direction: Direction;
      readonly streams: number;
      /** Bits per second of each stream; unlimited if not given. */
      readonly pace?: number;
    }
  /** Connections made and closed one after the other, with or without a byte each way. */
  | { readonly kind: "connections"; readonly exchange: boolean }
  /** Requests in turn over established flows, at most `depth` outstanding. */
  | { readonly kind: "flows"; readonly flows: number; readonly depth: number }
  /**
   * Datagrams of this many bytes at the highest rate without loss; the sender hands this many
   * of them to its kernel at once (UDP_SEGMENT).
   */
  | {
      readonly kind: "datagrams";
      readonly direction: "up" | "down";
      readonly size: number;
      readonly segments: number;
    }
  /** Starts of the helper, each in a namespace of its own. */
  | { readonly kind: "ready"; readonly starts: number }
  /** No traffic: wake-ups and memory of the helper. */
  | { readonly kind: "idle" }
  /** Memory of the helper while this many flows are held open. */
  | { readonly kind: "idle-flows"; readonly flows: number }
  /** Memory of the helper after this many streams each way have ended. */
  | { readonly kind: "after-load"; readonly streams: number };

/** Where a client of a published port is: on the host, at its loopback or its own address. */
export type From = "loopback" | "address";

export type PastaLoad =
  | Extract<Workload, { kind: "bulk" | "datagrams" | "ready" | "idle" }>
  /** iperf3 from the host to a server in the guest. */
  | { readonly kind: "published"; readonly from: From; readonly streams: number }
  /** Requests of this many clients on the host, each with a connection and one request at a time. */
  | { readonly kind: "requests"; readonly from: From; readonly clients: number };

export type MembersLoad = "bulk" | "transactions" | "transactions-under-flood";

export type OverlayWorkload = Extract<Workload, { kind: "overlay" }>;

export type OverlayLoad =
  | { readonly kind: "bulk" }
  | { readonly kind: "transactions" }
  | { readonly kind: "datagrams"; readonly size: number; readonly segments: number }
  /** Members that join on one host, until they can be reached by name from the other. */
  | { readonly kind: "joins"; readonly joins: number };

/** What happens to frames between two hosts, in each direction. */
export interface Link {
  readonly delayMs: number;
  readonly lossPercent: number;
  /** Of frames that overtake those that are delayed. */
  readonly reorderPercent: number;
}

/** Workloads that also run without a helper. */
export type LoopbackWorkload = Extract<
  Workload,
  {
    kind:
      | "bulk"
      | "transactions"
      | "transactions-under-bulk"
      | "connections"
      | "flows"
      | "datagrams";
  }
>;

export interface Cell {
  readonly id: string;
  readonly title: string;
  readonly workload: Workload;
  readonly mtu: number;
  /** TCP congestion control of the guest. The host's side always uses the host's default. */
  readonly congestion: string;
  /** Part of a --quick run. */
  readonly quick: boolean;
}

/** The default of Docker and Kubernetes, and what podman and RootlessKit pass to slirp4netns. */
const MTUS = [1500, 65520] as const;

const DIRECTION_TITLES: Record<Direction, string> = {
  up: "up",
  down: "down",
  both: "both ways at once",
};

/** Congestion controls to measure: reno, and the one that most guests will use. */
export function congestionControls(allowed: readonly string[]): string[] {
  const modern = ["bbr", "cubic"].find((name) => allowed.includes(name));
  return ["reno", ...(modern === undefined ? [] : [modern])];
}

const MEMBERS: readonly (readonly [string, MembersLoad, string])[] = [
  ["members-bulk", "bulk", "one stream"],
  ["members-rr", "transactions", "request/response"],
  ["members-rr-flood", "transactions-under-flood", "request/response beside a third's flood"],
];

const OVERLAY_LOADS: readonly (readonly [id: string, load: OverlayLoad, title: string])[] = [
  ["rr", { kind: "transactions" }, "request/response"],
  ["udp", { kind: "datagrams", size: 1200, segments: 1 }, "1,200-byte datagrams"],
  [
    "udp-segment",
    { kind: "datagrams", size: 1200, segments: 40 },
    "1,200-byte datagrams by UDP_SEGMENT",
  ],
];

/** Links on which one TCP stream is compared with itself without an overlay. */
const LINKS: readonly (readonly [id: string, link: Link, title: string])[] = [
  ["delay", { delayMs: 20, lossPercent: 0, reorderPercent: 0 }, "20 ms of delay"],
  ["loss", { delayMs: 20, lossPercent: 1, reorderPercent: 0 }, "20 ms of delay and 1 % of loss"],
  [
    "reorder",
    { delayMs: 20, lossPercent: 0, reorderPercent: 1 },
    "20 ms of delay and 1 % out of order",
  ],
];

function overlayCells(encrypted: boolean, modern: string): Cell[] {
  const name = encrypted ? "wg" : "plain";
  const over = `overlay, ${encrypted ? "encrypted" : "plain"}`;
  const base = { mtu: 1500, congestion: "reno", quick: false };
  return [
    ...OVERLAY_LOADS.map(
      ([id, load, title]): Cell => ({
        ...base,
        id: `overlay-${name}-${id}`,
        title: `${over}, ${title}`,
        workload: { kind: "overlay", encrypted, load },
      }),
    ),
    // Over veth pairs the kernel never cuts its superframes, however large they are: reno fills them, and bbr, which paces,
    // sends such as a machine with a network card does. The targets are those of the latter.
    ...[...new Set([modern, "reno"])].map(
      (congestion): Cell => ({
        ...base,
        id: `overlay-${name}-tcp${congestion === modern ? "" : `-${congestion}`}`,
        title: `${over}, one stream, ${congestion}`,
        workload: { kind: "overlay", encrypted, load: { kind: "bulk" } },
        congestion,
      }),
    ),
    ...LINKS.map(([id, link, title]): Cell => {
      // With loss a stream of reno differs by a half from run to run. A frame that was not delayed has bbr believe that
      // none is: it then sends 1 % of what reno does.
      const congestion = link.reorderPercent > 0 ? "reno" : modern;
      return {
        ...base,
        id: `overlay-${name}-${id}`,
        title: `${over}, one stream, ${title}, ${congestion}`,
        workload: { kind: "overlay", encrypted, load: { kind: "bulk" }, link },
        congestion,
      };
    }),
  ];
}

/** All cells for a kernel that allows these congestion controls in a namespace. */
export function allCells(allowed: readonly string[]): Cell[] {
  const base = { mtu: 65520, congestion: "reno", quick: false };
  const modern = congestionControls(allowed).at(-1) ?? "reno";
  return [
    ...MTUS.flatMap((mtu) =>
      congestionControls(allowed).flatMap((name) => singleStream(mtu, name)),
    ),
    ...MTUS.flatMap((mtu) => [
      bulk("up", 8, mtu),
      bulk("down", 8, mtu),
      bulk("both", 1, mtu),
      {
        ...base,
        id: `published-${mtu}`,
        title: `published port, MTU ${mtu}`,
        workload: { kind: "published", streams: 1 } as const,
        mtu,
      },
    ]),
    {
      ...base,
      id: "small-writes",
      title: "1,000-byte writes up, MTU 1500",
      workload: { kind: "bulk", direction: "up", streams: 1, writeSize: 1000 },
      mtu: 1500,
    },
    {
      ...base,
      id: "rr",
      title: "request/response",
      workload: { kind: "transactions" },
      quick: true,
    },
    ...(["up", "down"] as const).map(
      (direction): Cell => ({
        ...base,
        id: `rr-bulk-${direction}`,
        title: `request/response beside 4 streams ${DIRECTION_TITLES[direction]}`,
        workload: { kind: "transactions-under-bulk", direction, streams: 4 },
      }),
    ),
    // Unlimited streams compare a helper that moves ten times the data with one that
    // leaves the processors idle; here all carry the same load.
    ...(["up", "down"] as const).map(
      (direction): Cell => ({
        ...base,
        id: `rr-paced-${direction}`,
        title: `request/response beside 4 streams of 0.5 Gbit/s ${DIRECTION_TITLES[direction]}`,
        workload: { kind: "transactions-under-bulk", direction, streams: 4, pace: 5e8 },
      }),
    ),
    {
      ...base,
      id: "connect-byte",
      title: "connect + byte + close",
      workload: { kind: "connections", exchange: true },
      quick: true,
    },
    {
      ...base,
      id: "connect",
      title: "connect + close",
      workload: { kind: "connections", exchange: false },
    },
    ...MEMBERS.map(
      ([id, load, title]): Cell => ({
        ...base,
        id,
        title: `member to member, MTU 1500, ${title}`,
        workload: { kind: "members", load },
        mtu: 1500,
      }),
    ),
    ...[false, true].flatMap((encrypted) => overlayCells(encrypted, modern)),
    {
      ...base,
      id: "overlay-join",
      title: "overlay, a member joins until it is reached from another host by name",
      workload: { kind: "overlay", encrypted: true, load: { kind: "joins", joins: 100 } },
      mtu: 1500,
    },
    ...[10, 1000, 5000].map(
      (flows): Cell => ({
        ...base,
        id: `flows-${flows}`,
        title: `requests over ${flows.toLocaleString("en")} flows`,
        workload: { kind: "flows", flows, depth: 8 },
      }),
    ),
    ...(["up", "down"] as const).flatMap((direction) => [
      datagrams(direction, 1400, 1),
      datagrams(direction, 64, 1),
      datagrams(direction, 1400, 46),
    ]),
    {
      ...base,
      id: "ready",
      title: "start",
      workload: { kind: "ready", starts: 5 },
      quick: true,
    },
    { ...base, id: "idle", title: "idle", workload: { kind: "idle" } },
    {
      ...base,
      id: "idle-flows",
      title: "4,000 idle flows",
      workload: { kind: "idle-flows", flows: 4000 },
    },
    {
      ...base,
      id: "after-load",
      title: "after 8 streams each way",
      workload: { kind: "after-load", streams: 8 },
    },
  ];
}

function singleStream(mtu: number, congestion: string): Cell[] {
  return (["up", "down"] as const).map((direction) => ({
    id: `tcp-${direction}-${mtu}-${congestion}`,
    title: `${DIRECTION_TITLES[direction]}, MTU ${mtu}, ${congestion}`,
    workload: { kind: "bulk", direction, streams: 1 },
    mtu,
    congestion,
    quick: congestion === "reno",
  }));
}

function bulk(direction: Direction, streams: number, mtu: number): Cell {
  const name = direction === "both" ? "both" : `${streams}-${direction}`;
  const count = streams === 1 ? "" : `${streams} streams `;
  return {
    id: `tcp-${name}-${mtu}`,
    title: `${count}${DIRECTION_TITLES[direction]}, MTU ${mtu}`,
    workload: { kind: "bulk", direction, streams },
    mtu,
    congestion: "reno",
    quick: false,
  };
}

function datagrams(direction: "up" | "down", size: number, segments: number): Cell {
  const sender = segments === 1 ? "" : " by UDP_SEGMENT";
  return {
    id: `udp-${direction}-${size}${segments === 1 ? "" : "-segment"}`,
    title: `${size.toLocaleString("en")}-byte datagrams ${direction}${sender}, MTU 1500`,
    workload: { kind: "datagrams", direction, size, segments },
    mtu: 1500,
    congestion: "reno",
    quick: false,
  };
}

/**
 * The cells that a list of ids and patterns with `*` selects.
 * @throws RangeError for a word that selects none.
 */
export function selectCells(cells: readonly Cell[], words: readonly string[]): Cell[] {
  const patterns = words.map((word) => ({ word, pattern: wildcard(word) }));
  for (const { word, pattern } of patterns) {
    if (cells.some((cell) => pattern.test(cell.id))) continue;
    throw new RangeError(
      `no cell is named ${word}; there are: ${cells.map((c) => c.id).join(" ")}`,
    );
  }
  return cells.filter((cell) => patterns.some(({ pattern }) => pattern.test(cell.id)));
}

function wildcard(word: string): RegExp {
  const literal = word.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${literal.replaceAll("*", ".*")}$`);
}

/**
 * What plain loopback runs instead of a cell, for the ratio to it; null if nothing is
 * comparable. Loopback has no MTU and no published ports, so several cells share one reference.
 */
export function loopbackWorkload(workload: Workload): LoopbackWorkload | null {
  switch (workload.kind) {
    case "bulk":
    case "transactions":
    case "transactions-under-bulk":
    case "flows":
    case "datagrams":
      return workload;
    case "connections":
      // Nothing slows the client to the rate at which its server accepts: the listen queue overflows,
      // and the bench would measure the rate of retransmitted SYNs.
      return workload.exchange ? workload : null;
    case "published":
      return { kind: "bulk", direction: "up", streams: workload.streams };
    case "members":
    case "overlay":
    case "pasta":
    case "ready":
    case "idle":
    case "idle-flows":
    case "after-load":
      return null;
  }
}
