import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatMac } from "../../src/base/mac.js";
import { Loop } from "../../src/loop/loop.js";
import { endStage, Host, makeUnderlay, member, type Place, UNDERLAY, VNI } from "./stage.js";

const PORT = 4789;
const MTU = 1430;

const loop = new Loop();

beforeAll(() => loop.start());
afterAll(() => {
  loop.stop();
  endStage();
});

/** Bytes of a transfer: many superframes, and no multiple of a segment's. */
const LENGTH = 20_000_003;

/** Sends LENGTH bytes by TCP. @returns the hashes of what was sent and of what came */
async function transfer(from: Place, to: Place, address: string): Promise<[string, string]> {
  const listen = address.includes(":") ? "TCP6-LISTEN:5001" : "TCP4-LISTEN:5001";
  const host = address.includes(":") ? `[${address}]` : address;
  const taken = to.shell(`timeout 30 socat -u ${listen},reuseaddr - | sha256sum`);
  const sent = from.shell(`
    head -c ${LENGTH} /dev/urandom >/tmp/slipway-${from.pid}
    sha256sum </tmp/slipway-${from.pid}
    timeout 30 socat -u FILE:/tmp/slipway-${from.pid} TCP:${host}:5001,retry=20,interval=0.1
    rm /tmp/slipway-${from.pid}`);
  return Promise.all([sent, taken]);
}

/** Sends datagrams by UDP of many lengths. @returns the hashes of what was sent and of what came, in any order */
async function datagrams(from: Place, to: Place, address: string): Promise<[string, string]> {
  const isIpv6 = address.includes(":");
  const script = `
import socket, hashlib, time, sys
s = socket.socket(socket.AF_INET${isIpv6 ? "6" : ""}, socket.SOCK_DGRAM)
mode, address = sys.argv[1:]
parts = [bytes([n % 251]) * (1 + n * 7 % 1300) for n in range(600)]
if mode == "take":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind((address, 5002))
    s.settimeout(20)
    parts = [s.recv(65536) for _ in range(600)]
else:
    time.sleep(1)
    s.connect((address, 5002))
    for n, part in enumerate(parts):
        s.send(part)
        if n % 20 == 19: time.sleep(0.005)
print(hashlib.sha256(b"".join(sorted(parts))).hexdigest())`;
  const python = (mode: string) => `python3 -c '${script.replaceAll("'", '"')}' ${mode} ${address}`;
  return Promise.all([from.shell(python("send")), to.shell(python("take"))]);
}

async function expectTraffic(from: Place, to: Place, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    expect(await from.shell(`ping -c3 -i0.2 -W5 ${address}`)).toMatch("3 received");
    expect(await from.shell(`ping -c2 -i0.2 -W5 -s 4000 ${address}`)).toMatch("2 received");
    const [sent, taken] = await transfer(from, to, address);
    expect(taken).toBe(sent);
    const [some, came] = await datagrams(from, to, address);
    expect(came).toBe(some);
  }
}

describe.each([4, 6] as const)("two hosts over IPv%i", (family) => {
  const [near, far] = [member("near", 2), member("far", 3)];
  const addresses = UNDERLAY[family];
  let hosts: readonly [Host, Host];
  let places: readonly [Place, Place];

  beforeAll(async () => {
    const underlay = await makeUnderlay();
    hosts = [new Host(loop, underlay[0]), new Host(loop, underlay[1])];
    for (const [index, host] of hosts.entries()) {
      await host.open({ kind: "vxlan", vni: VNI }, addresses[index], PORT, MTU);
      host.learnHost("other", addresses[1 - index], PORT);
    }
    hosts[0].learnRemote(far, { kind: "host", host: "other" });
    hosts[1].learnRemote(near, { kind: "host", host: "other" });
    places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)];
  });

  test("members reach each other by both families, whatever they send", async () => {
    await expectTraffic(places[0], places[1], far.addresses);
    expect(await hosts[0].drops()).toEqual({});
    expect(await hosts[1].drops()).toEqual({});
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

  test("reaches members, and is reached", async () => {
    await expectTraffic(inside, peer, box.addresses);
    await expectTraffic(peer, inside, near.addresses);
    const drops = await host.drops();
    for (const reason of ["tunnel-spoofed", "tunnel-unknown-host", "tunnel-malformed"])
      expect(drops).not.toHaveProperty(reason);
  });
});
