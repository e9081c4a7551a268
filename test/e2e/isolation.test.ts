import { setTimeout as delay } from "node:timers/promises";
import { type Annotate, figureType } from "../figures.ts";
import { served } from "../lab/addresses.ts";
import { type Asker, Attacker, sinkPort, type Torrent, type Waits } from "../lab/attack.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import {
  arp,
  ethernet,
  flag,
  frame,
  ipv4,
  mac,
  protocol,
  tcpPacket,
  udpDatagram,
  zeros,
} from "./attacks/frames.ts";
import { DaemonUser, type Member } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const WINDOW_MS = 250;
/** A torrent begins before it is measured, and ends after. */
const MARGIN_MS = 50;
/** Of windows of each kind; more while their ratio is not as hoped, as a shared machine is uneven. */
const ROUNDS = 5;
const MOST_ROUNDS = 15;

/** One guest's flood is to move another's 99th percentile by no more (issue 7). */
const HOPED = 2;
/** And must not by more: windows of 250 ms of a shared machine are uneven. Before heavy members rested it was 24. */
const MOST = 4;
/** HOPED is not reached there, where programs outside of Slipway share the processors: docs/performance.md. */
const MOST_BY_BULK = 12;

const relayPort = 9_010;

interface Party extends Member {
  readonly mac: string;
}

/** Four members of one network: two that talk, one that floods, and one that it floods. */
interface Crowd {
  readonly attacker: Attacker;
  readonly asker: Asker;
  readonly flooder: Party;
  readonly target: Party;
  readonly gateway: { readonly mac: string; readonly address: string };
}

async function gather(lab: Lab, user: DaemonUser): Promise<Crowd> {
  const attacker = await Attacker.create(lab);
  await user.ok("network", "create", "crowd");
  const join = async (name: string): Promise<Party> => {
    const member = await user.member("crowd", name);
    const place = (await user.members()).find((each) => each.name === name)?.networks[0];
    if (place === undefined) throw new Error(`no place of ${name}`);
    return { ...member, mac: place.mac };
  };
  const answerer = await join("answerer");
  const asking = await join("asker");
  const target = await join("target");
  const flooder = await join("flooder");
  await flooder.namespace.shell(
    "ip link add apart0 type veth peer name apart1; ip link set apart1 up; ip link set apart0 up",
  );
  await attacker.sink(target.namespace);
  await attacker.sink(flooder.namespace);
  // What carries bytes between the two ends costs a processor there, too.
  const relay = `TCP-LISTEN:${relayPort},fork,reuseaddr`;
  flooder.namespace.spawn(["socat", "-b", "131072", relay, `TCP:127.0.0.1:${sinkPort}`]);
  const asker = await attacker.asker(asking.namespace, answerer.namespace, answerer.addresses.v4);
  const [report] = await user.inspect("crowd");
  const address = report.IPAM.Config[0].Gateway;
  const hex = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return { attacker, asker, flooder, target, gateway: { address, mac: `52:55:${hex.join(":")}` } };
}

const test = base
  .extend("crowd", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    return gather(lab, user);
  })
  .runIf(isSlipway);

const broadcast = "ff:ff:ff:ff:ff:ff";
const nobody = "02:42:00:00:00:99";

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** What floods, by what it is. */
const floods: Readonly<Record<string, (crowd: Crowd) => readonly Uint8Array[]>> = {
  "small datagrams to another member": ({ flooder, target }) => [
    datagram(flooder, target.addresses.v4, target.mac),
  ],
  broadcasts: ({ flooder }) => [datagram(flooder, "255.255.255.255", broadcast)],
  "frames to nobody": ({ flooder, target }) => [datagram(flooder, target.addresses.v4, nobody)],
  "questions of ARP": ({ flooder, target, gateway }) =>
    [target.addresses.v4, gateway.address, "10.89.0.99"].map((asked) =>
      frame(ethernet.arp, arp(1, mac(flooder.mac), flooder.addresses.v4, asked), {
        from: flooder.mac,
        to: broadcast,
      }),
    ),
  "beginnings of connections": ({ flooder, gateway }) =>
    times(4_096, (index) =>
      frame(
        ethernet.ipv4,
        tcpPacket(served.services, 1_024 + index, 9, flag.syn, { source: flooder.addresses.v4 }),
        { from: flooder.mac, to: gateway.mac },
      ),
    ),
  "datagrams from many ports to the world": ({ flooder, gateway }) =>
    times(4_096, (index) => datagram(flooder, served.services, gateway.mac, 1_024 + index)),
};

function datagram({ mac: from, addresses }: Party, to: string, toMac: string, port = 4_000) {
  const payload = udpDatagram(addresses.v4, to, port, 4_001, zeros(18));
  const packet = ipv4(to, protocol.udp, payload, { source: addresses.v4 });
  return frame(ethernet.ipv4, packet, { from, to: toMac });
}

interface Round {
  /** Beside the torrent that stays in a namespace of its own. */
  readonly apart: Waits;
  /** Beside the same through the network. */
  readonly beside: Waits;
}

async function compare(
  asker: Asker,
  torrent: Torrent,
  places: { readonly apart: string; readonly through: string },
): Promise<readonly Round[]> {
  const measure = async (to: string) => {
    const running = torrent.run(to, WINDOW_MS + 2 * MARGIN_MS);
    await delay(MARGIN_MS);
    const waits = await asker.ask(WINDOW_MS);
    await running;
    return waits;
  };
  const rounds: Round[] = [];
  while (rounds.length < ROUNDS || (rounds.length < MOST_ROUNDS && movedBy(rounds) > HOPED)) {
    const apart = await measure(places.apart);
    rounds.push({ apart, beside: await measure(places.through) });
  }
  await torrent.close();
  return rounds;
}

/** Of the times of one kind. */
function quartile(
  rounds: readonly Round[],
  which: 1 | 3,
  timeOf: (round: Round) => number,
): number {
  const times = rounds.map(timeOf).toSorted((a, b) => a - b);
  return times[Math.floor((times.length * which) / 4)] ?? 0;
}

/**
 * By how much the torrent through the network moves the 99th percentile. Each kind has good windows and bad
 * ones, as the scheduler has it (15 and 60 µs apart from any network, on one machine), and a flood has its
 * price in all of its own: its good ones are held against the bad ones of the other kind.
 */
function movedBy(rounds: readonly Round[]): number {
  const beside = quartile(rounds, 1, (round) => round.beside.late);
  return beside / quartile(rounds, 3, ({ apart }) => apart.late);
}

function figuresOf(rounds: readonly Round[]): string {
  const micros = (which: 1 | 3, timeOf: (round: Round) => number) =>
    Math.round(quartile(rounds, which, timeOf) / 1_000);
  const side = (kind: "apart" | "beside") => {
    const median = micros(1, (round) => round[kind].median);
    const late = (which: 1 | 3) => micros(which, (round) => round[kind].late);
    return `${median}/${late(1)}–${late(3)}`;
  };
  const moved = movedBy(rounds).toFixed(2);
  return `p50/p99 ${side("beside")} µs of ${side("apart")} (${moved}), ${rounds.length} rounds`;
}

async function expectUnmoved(
  rounds: readonly Round[],
  most: number,
  annotate: Annotate,
): Promise<void> {
  await annotate(figuresOf(rounds), figureType(movedBy(rounds) <= HOPED));
  expect(movedBy(rounds), figuresOf(rounds)).toBeLessThanOrEqual(most);
}

describe("answers between two members come as soon beside another's", () => {
  test.for(Object.keys(floods))("flood of %s", async (kind, { crowd, annotate }) => {
    const { attacker, asker, flooder } = crowd;
    const torrent = await attacker.flooder(flooder.namespace, floods[kind]?.(crowd) ?? []);
    const rounds = await compare(asker, torrent, { apart: "apart0", through: "eth0" });
    await expectUnmoved(rounds, MOST, annotate);
  });

  test("bulk", async ({ crowd, annotate }) => {
    const { attacker, asker, flooder, target } = crowd;
    const torrent = await attacker.pourer(flooder.namespace);
    const places = {
      apart: `127.0.0.1 ${relayPort}`,
      through: `${target.addresses.v4} ${sinkPort}`,
    };
    await expectUnmoved(await compare(asker, torrent, places), MOST_BY_BULK, annotate);
  });
});
