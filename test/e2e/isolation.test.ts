import { type Annotate, figureType } from "../figures.ts";
import { served } from "../lab/addresses.ts";
import { type Asker, Attacker, sinkPort, type Torrent } from "../lab/attack.ts";
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

/** Of bytes between two members beside a flood. */
const EXCHANGES = 2_000;
/** A flood of one guest should raise another's 99th percentile by no more than this factor. */
const HOPED = 2;

const relayPort = 9_010;

interface Party extends Member {
  readonly mac: string;
}

/** Four members of one network: two that communicate, one that floods, and the target of the flood. */
interface Crowd {
  readonly attacker: Attacker;
  readonly asker: Asker;
  readonly asking: Party;
  readonly answering: Party;
  readonly flooder: Party;
  readonly target: Party;
  readonly gateway: { readonly mac: string; readonly address: string };
}

async function gather(lab: Lab, user: DaemonUser): Promise<Crowd> {
  const attacker = await Attacker.create(lab);
  await user.ok("network", "create", "crowd");
  const join = async (name: string): Promise<Party> => {
    const member = await user.member("crowd", name);
    const attachment = (await user.members()).find((each) => each.name === name)?.networks[0];
    if (attachment === undefined) throw new Error(`no attachment of ${name}`);
    return { ...member, mac: attachment.mac };
  };
  const answering = await join("answerer");
  const asking = await join("asker");
  const target = await join("target");
  const flooder = await join("flooder");
  await flooder.namespace.shell(
    "ip link add apart0 type veth peer name apart1; ip link set apart1 up; ip link set apart0 up",
  );
  await attacker.sink(target.namespace);
  await attacker.sink(flooder.namespace);
  // Relaying between the two ends takes a processor there, too.
  const relay = `TCP-LISTEN:${relayPort},fork,reuseaddr`;
  flooder.namespace.spawn(["socat", "-b", "131072", relay, `TCP:127.0.0.1:${sinkPort}`]);
  const asker = await attacker.asker(asking.namespace, answering.namespace, answering.addresses.v4);
  const [report] = await user.inspect("crowd");
  const address = report.IPAM.Config[0].Gateway;
  const hex = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  const gateway = { address, mac: `52:55:${hex.join(":")}` };
  return { attacker, asker, asking, answering, flooder, target, gateway };
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

/** Frames of the flooder, by kind of flood. */
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

/** Frames that the kernel dropped as the queue of a member's TAP was full. */
async function droppedOf({ namespace }: Pick<Member, "namespace">): Promise<number> {
  const argv = ["ip", "-json", "-s", "link", "show", "eth0"];
  const [link] = JSON.parse(await namespace.output(argv));
  return link.stats64.tx.dropped;
}

/**
 * Two members exchange requests while a third one sends a torrent, from before their first byte until after their
 * last. Each request must be answered. How much later than beside the same torrent in a separate namespace is
 * annotated, not asserted; `members-rr-flood` of the bench measures it.
 */
async function talkBeside(
  { asker, asking, answering }: Crowd,
  torrent: Torrent,
  places: { readonly apart: string; readonly through: string },
  annotate: Annotate,
): Promise<void> {
  await torrent.start(places.apart);
  const apart = await asker.ask(EXCHANGES);
  await torrent.stop();
  await torrent.start(places.through);
  const beside = await asker.ask(EXCHANGES);
  const sent = await torrent.stop();
  await torrent.close();
  expect(sent).toBeGreaterThan(0);
  for (const member of [asking, answering]) expect(await droppedOf(member)).toBe(0);
  const [to, of] = [beside, apart].map(({ median, late }) =>
    [median, late].map((ns) => Math.round(ns / 1_000)).join("/"),
  );
  const moved = beside.late / apart.late;
  const text = `p50/p99 ${to} µs of ${of} (${moved.toFixed(2)}), beside ${sent} frames or bytes`;
  await annotate(text, figureType(moved <= HOPED));
}

describe("two members keep communicating beside another's", () => {
  test.for(Object.keys(floods))("flood of %s", async (kind, { crowd, annotate }) => {
    const { attacker, flooder } = crowd;
    const torrent = await attacker.flooder(flooder.namespace, floods[kind]?.(crowd) ?? []);
    await talkBeside(crowd, torrent, { apart: "apart0", through: "eth0" }, annotate);
  });

  test("bulk", async ({ crowd, annotate }) => {
    const { attacker, flooder, target } = crowd;
    const torrent = await attacker.pourer(flooder.namespace);
    const places = {
      apart: `127.0.0.1 ${relayPort}`,
      through: `${target.addresses.v4} ${sinkPort}`,
    };
    await talkBeside(crowd, torrent, places, annotate);
  });
});
