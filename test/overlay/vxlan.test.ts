import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { log } from "../../src/base/log.js";
import { formatMac } from "../../src/base/mac.js";
import { Loop } from "../../src/loop/loop.js";
import { Joiner } from "../../src/stack/joiner.js";
import { captured } from "./capture.js";
import { endStage, Host, makeUnderlay, member, type Place, UNDERLAY, VNI } from "./stage.js";
import { expectNoFault, expectTraffic, expectTransfer } from "./traffic.js";

const PORT = 4789;
const MTU = 1430;

const loop = new Loop();

beforeAll(() => loop.start());
afterEach(() => vi.restoreAllMocks());
afterAll(() => {
  loop.stop();
  endStage();
});

/** Two hosts with a member each, which know of each other. */
async function twoHosts(family: 4 | 6, underlayMtu: number) {
  const [near, far] = [member("near", 2), member("far", 3)];
  const addresses = UNDERLAY[family];
  const underlay = await makeUnderlay(underlayMtu);
  const hosts = [new Host(loop, underlay[0]), new Host(loop, underlay[1])] as const;
  for (const [index, host] of hosts.entries()) {
    await host.open({ kind: "vxlan", vni: VNI }, addresses[index], PORT, MTU);
    host.learnHost("other", addresses[1 - index], PORT);
  }
  hosts[0].learnRemote(far, { kind: "host", host: "other" });
  hosts[1].learnRemote(near, { kind: "host", host: "other" });
  const places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)] as const;
  return { hosts, places, far };
}

describe.each([4, 6] as const)("two hosts over IPv%i", (family) => {
  test("members reach each other by both families, whatever they send", async () => {
    const { hosts, places, far } = await twoHosts(family, 1500);
    await expectTraffic(places[0], places[1], far.addresses);
    for (const host of hosts) await expectNoFault(host);
  });

  test("a tunnel whose WebAssembly has trapped goes on", async () => {
    const { places, far } = await twoHosts(family, 1500);
    const errors = vi.spyOn(log, "error").mockImplementation(() => {});
    vi.spyOn(Joiner.prototype, "join").mockImplementationOnce(() => {
      throw new Error("unreachable");
    });
    const said = await places[0].shell(`ping -c5 -i0.2 -W5 ${far.addresses[0]}`);
    expect(said).toMatch(/[45] received/);
    expect(`${errors.mock.calls}`).toMatch("a tunnel failed (Error: unreachable)");
  });

  test("members reach each other where the underlay takes less than they were told", async () => {
    const { places, far } = await twoHosts(family, 1400);
    for (const address of far.addresses) {
      await expectTransfer(places[0], places[1], address);
      // Nobody may be told of a packet without DF: it goes in fragments.
      if (!address.includes(":"))
        expect(await places[0].shell(`ping -c2 -i0.2 -M dont -s 1390 ${address}`)).toMatch(
          "2 received",
        );
    }
  });
});

describe.each([4, 6] as const)("a machine with the kernel's vxlan device over IPv%i", (family) => {
  const [near, box] = [member("near", 2), member("box", 9)];
  const [here, there] = UNDERLAY[family];
  let host: Host;
  let inside: Place;
  let peer: Place;

  beforeAll(async () => {
    const underlay = await makeUnderlay();
    peer = underlay[1];
    host = new Host(loop, underlay[0]);
    await host.open({ kind: "vxlan", vni: VNI }, here, PORT, MTU);
    host.learnRemote(box, { kind: "vtep", address: there, port: PORT });
    // Static entries alone: unicast to the member, group frames to its host.
    await peer.shell(`
      ethtool -K eth0 tx off >/dev/null
      ip link add vx0 type vxlan id ${VNI} dstport ${PORT} local ${there} nolearning
      ip link set vx0 address ${formatMac(box.mac)} mtu ${MTU} up
      ip addr add ${box.addresses[0]}/16 dev vx0
      ip addr add ${box.addresses[1]}/64 dev vx0 nodad
      bridge fdb append ${formatMac(near.mac)} dev vx0 dst ${here}
      bridge fdb append 00:00:00:00:00:00 dev vx0 dst ${here}`);
    inside = await host.join(near, MTU);
  });

  test("exchanges what tshark finds right", async () => {
    // Frames as a network card sends them: cut, with all checksums.
    await host.place.shell("ethtool -K eth0 tx off tso off gso off >/dev/null");
    const transfers = async () => {
      expect(await inside.shell(`ping -c2 -i0.2 -W5 -s 3000 ${box.addresses[1]}`)).toMatch(
        "2 received",
      );
      await expectTransfer(inside, peer, box.addresses[0], 300_001);
      await expectTransfer(peer, inside, near.addresses[1], 300_001);
    };
    const capture = await captured(peer, transfers, "vxlan && tcp.len > 1000", 400);
    expect(capture.matching("frame.len > 1514")).toEqual([]);
    expect(capture.faulty).toEqual([]);
  });

  test("gets and gives DSCP and ECN in the outer header, too", async () => {
    // AF41, and ECN's congestion experienced: ping(8) sets both.
    const pings = async () => {
      expect(await inside.shell(`ping -c2 -i0.2 -W5 -Q 0x8b ${box.addresses[0]}`)).toMatch(
        "2 received",
      );
    };
    const capture = await captured(peer, pings, "vxlan && icmp.type == 8", 2);
    const outer = family === 4 ? "frame[15] == 8b" : "ipv6.tclass == 0x8b";
    expect(capture.matching(`${outer} && icmp.type == 8`)).toHaveLength(2);
  });

  test("reaches members, and is reached", async () => {
    await expectTraffic(inside, peer, box.addresses);
    await expectTraffic(peer, inside, near.addresses);
    await expectNoFault(host);
  });
});
