import { link, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { addForward, apiGuest, ask } from "./api-client.ts";
import { test as base, expect } from "./fixture.ts";

// slirp4netns does not know list_flows.
const test = base.runIf(isSlipway);

interface Flow {
  readonly proto: string;
  readonly direction: string;
  readonly state: string;
  readonly guest: { readonly addr: string; readonly port: number };
}

async function flowsOf(lab: Lab, socket: string): Promise<readonly Flow[]> {
  const answer = await ask(lab, socket, { execute: "list_flows" });
  return (answer as { return: { flows: Flow[] } }).return.flows;
}

test("a connection of the guest is listed as both sides see it", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest, socket } = api;
  const listener = await lab.world.agent.listen(served.services);
  const inside = await (await guest.agent()).connect(listener.endpoint);
  const outside = await listener.accept();
  await inside.write("hello");
  await outside.read(5);
  await outside.write("abc");
  await inside.read(3);
  const { address: peer_addr, port: peer_port } = listener.endpoint;
  const [flow, ...others] = await flowsOf(lab, socket);
  expect(others).toEqual([]);
  expect(flow).toEqual({
    proto: "tcp",
    direction: "outbound",
    state: "established",
    guest: { addr: "10.0.2.100", port: inside.client.port, peer_addr, peer_port },
    host: { addr: link.host, port: outside.client.port, peer_addr, peer_port },
    from_guest: { bytes: 5, packets: expect.any(Number) },
    to_guest: { bytes: 3, packets: expect.any(Number) },
    age_ms: expect.any(Number),
    rtt_us: expect.any(Number),
  });
  await inside.end();
  await outside.readToEnd();
  expect(await flowsOf(lab, socket)).toMatchObject([{ state: "guest-ended" }]);
  await outside.end();
  await expect.poll(() => flowsOf(lab, socket)).toEqual([]);
});

test("a connection in progress is listed as connecting", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest, socket } = api;
  const peer_addr = "203.0.113.204";
  guest.spawn(["curl", "-sS", "-m", "20", `http://${peer_addr}/`]);
  await expect
    .poll(() => flowsOf(lab, socket))
    .toMatchObject([{ state: "connecting", guest: { peer_addr, peer_port: 80 }, rtt_us: null }]);
});

test("UDP, ping and clients of published ports are listed", async ({ lab }) => {
  await using api = await apiGuest(lab, { ipv6: true });
  const { guest, socket } = api;
  const agent = await guest.agent();
  const echo = await lab.world.agent.echoUdp(served.services6);
  const udp = await agent.udp("::");
  await udp.send(echo, "four");
  await udp.receive();
  await guest.run(["ping", "-c1", "-W20", "-s", "100", served.services]);
  const server = await agent.udp("0.0.0.0");
  const { port } = server.endpoint;
  const published = {
    proto: "udp",
    host_addr: "0.0.0.0",
    host_port: 8090,
    guestPort: port,
  } as const;
  await addForward(lab, socket, published);
  const client = await lab.world.agent.udp("0.0.0.0");
  await client.send({ address: link.host, port: 8090 }, "ask");
  await server.receive();
  const flows = await flowsOf(lab, socket);
  const of = (proto: string, direction: string) =>
    flows.find((flow) => flow.proto === proto && flow.direction === direction);
  const { address: peer_addr, port: peer_port } = echo;
  expect(of("udp", "outbound")).toMatchObject({
    state: "answered",
    guest: { addr: "fd00::64", port: udp.endpoint.port, peer_addr, peer_port },
    host: { addr: "::", peer_addr, peer_port },
    from_guest: { bytes: 4, packets: 1 },
    to_guest: { bytes: 4, packets: 1 },
  });
  expect(of("icmp", "outbound")).toMatchObject({
    state: "answered",
    guest: { addr: "10.0.2.100", peer_addr: served.services },
    from_guest: { bytes: 108, packets: 1 },
    to_guest: { bytes: 108, packets: 1 },
  });
  expect(of("udp", "inbound")).toMatchObject({
    guest: { addr: "10.0.2.100", port, peer_addr: link.world, peer_port: client.endpoint.port },
    host: { addr: link.host, port: 8090, peer_addr: link.world, peer_port: client.endpoint.port },
    from_guest: { bytes: 0, packets: 0 },
    to_guest: { bytes: 3, packets: 1 },
  });
});

test("a list of many flows arrives complete, in parts", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest, socket } = api;
  const count = 200;
  // Each from its own port, to one on which nobody listens.
  await guest.run([
    ...["bash", "-c"],
    `for i in $(seq ${count}); do exec {fd}>/dev/udp/${served.services}/9; echo x >&$fd; done`,
  ]);
  // The last of them may still be in the TAP.
  let flows: readonly Flow[] = [];
  const sent = async () => {
    flows = await flowsOf(lab, socket);
    return flows.filter(({ proto }) => proto === "udp").length;
  };
  await expect.poll(sent).toBe(count);
  expect(new Set(flows.map(({ guest: { port } }) => port)).size).toBe(flows.length);
});
