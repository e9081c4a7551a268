import * as v from "valibot";

const proto = v.picklist(["tcp", "udp"]);

export const addition = v.object({ id: v.number(), host_port: v.optional(v.number()) });

export const forwards = v.object({
  entries: v.array(
    v.object({
      id: v.number(),
      proto,
      host_addr: v.string(),
      host_port: v.number(),
      guest_addr: v.string(),
      guest_port: v.number(),
    }),
  ),
});

const ends = v.object({
  addr: v.nullable(v.string()),
  port: v.nullable(v.number()),
  peer_addr: v.nullable(v.string()),
  peer_port: v.nullable(v.number()),
});
const volume = v.object({ bytes: v.number(), packets: v.number() });

export const flows = v.object({
  flows: v.array(
    v.object({
      proto: v.string(),
      direction: v.string(),
      state: v.string(),
      guest: ends,
      host: ends,
      from_guest: volume,
      to_guest: volume,
      age_ms: v.number(),
      rtt_us: v.nullable(v.number()),
    }),
  ),
});

export const status = v.looseObject({
  version: v.string(),
  pid: v.number(),
  uptime: v.number(),
  tap: v.string(),
  target: v.nullable(v.number()),
  mtu: v.number(),
  networks: v.array(
    v.object({
      network: v.string(),
      gateway: v.string(),
      dns: v.nullable(v.string()),
      guest: v.string(),
    }),
  ),
  statistics: v.looseObject({
    tcpFlows: v.number(),
    mappings: v.number(),
    tcpBytesFromGuest: v.number(),
    tcpBytesToGuest: v.number(),
    datagramsFromGuest: v.number(),
    datagramsToGuest: v.number(),
    datagramBytesFromGuest: v.number(),
    datagramBytesToGuest: v.number(),
    memoryInUse: v.number(),
    memoryPeak: v.number(),
  }),
  drops: v.record(v.string(), v.number()),
});

export type Ends = v.InferOutput<typeof ends>;
export type Forward = v.InferOutput<typeof forwards>["entries"][number];
export type Flow = v.InferOutput<typeof flows>["flows"][number];
export type Status = v.InferOutput<typeof status>;
