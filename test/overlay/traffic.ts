import { expect } from "vitest";
import type { Host, Place } from "./stage.js";

/** Bytes of a transfer: many superframes, and no multiple of a segment's. */
const LENGTH = 20_000_003;

/** Sends bytes by TCP. @returns the hashes of what was sent and of what came */
async function transfer(
  from: Place,
  to: Place,
  address: string,
  length: number,
): Promise<[string, string]> {
  const listen = address.includes(":") ? "TCP6-LISTEN:5001" : "TCP4-LISTEN:5001";
  const host = address.includes(":") ? `[${address}]` : address;
  const taken = to.shell(`timeout 30 socat -u ${listen},reuseaddr - | sha256sum`);
  const sent = from.shell(`
    head -c ${length} /dev/urandom >/tmp/slipway-${from.pid}
    sha256sum </tmp/slipway-${from.pid}
    timeout 30 socat -u FILE:/tmp/slipway-${from.pid} TCP:${host}:5001,retry=20,interval=0.1
    rm /tmp/slipway-${from.pid}`);
  return Promise.all([sent, taken]);
}

/**
 * Sends datagrams by UDP of many lengths, 20 at a time: the next when the last have come, as a busy machine has lost some that
 * were sent by the clock. @returns the hashes of what was sent and of what came, in any order */
async function datagrams(from: Place, to: Place, address: string): Promise<[string, string]> {
  const isIpv6 = address.includes(":");
  const ready = `/tmp/slipway-ready-${to.pid}`;
  const script = `
import socket, hashlib, time, sys, os
s = socket.socket(socket.AF_INET${isIpv6 ? "6" : ""}, socket.SOCK_DGRAM)
mode, address, ready = sys.argv[1:]
parts = [bytes([n % 251]) * (1 + n * 7 % 1300) for n in range(600)]
if mode == "take":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind((address, 5002))
    open(ready, "x").close()
    s.settimeout(20)
    parts = []
    while len(parts) < 600:
        part, sender = s.recvfrom(65536)
        parts.append(part)
        if len(parts) % 20 == 0: s.sendto(b"", sender)
else:
    while not os.path.exists(ready): time.sleep(0.02)
    os.remove(ready)
    s.connect((address, 5002))
    s.settimeout(20)
    for n, part in enumerate(parts):
        s.send(part)
        if n % 20 == 19: s.recv(1)
print(hashlib.sha256(b"".join(sorted(parts))).hexdigest())`;
  const python = (mode: string) =>
    `python3 -c '${script.replaceAll("'", '"')}' ${mode} ${address} ${ready}`;
  return Promise.all([from.shell(python("send")), to.shell(python("take"))]);
}

/** Ping, fragments, TCP and UDP from one place to the addresses of another. */
export async function expectTraffic(
  from: Place,
  to: Place,
  addresses: readonly string[],
): Promise<void> {
  for (const address of addresses) {
    expect(await from.shell(`ping -c3 -i0.2 -W5 ${address}`)).toMatch("3 received");
    expect(await from.shell(`ping -c2 -i0.2 -W5 -s 4000 ${address}`)).toMatch("2 received");
    await expectTransfer(from, to, address);
    const [some, came] = await datagrams(from, to, address);
    expect(came).toBe(some);
  }
}

/** Bulk by TCP. */
export async function expectTransfer(
  from: Place,
  to: Place,
  address: string,
  length = LENGTH,
): Promise<void> {
  const [sent, taken] = await transfer(from, to, address, length);
  expect(taken).toBe(sent);
}

/** Group frames may have come before the member joined: they are for nobody, and no fault. */
export async function expectNoFault(host: Host): Promise<void> {
  const reasons = Object.keys(await host.drops());
  expect(reasons.filter((reason) => reason !== "ethernet-not-for-us")).toEqual([]);
}
