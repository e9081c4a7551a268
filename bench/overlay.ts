/**
 * Members on two hosts, as a testbed: on an overlay of Slipway, over the kernel's vxlan devices, over wireguard-go, or
 * the two hosts themselves. The client is on host A, the server on host B.
 */
import { generateKeyPairSync } from "node:crypto";
import type { Cell, OverlayWorkload } from "./cells.ts";
import { type Helper, NotAvailable } from "./helpers/helper.ts";
import { Underlay, Vxlan, WireguardGo } from "./helpers/tunnel.ts";
import { createHosts, type Host, type Hosts } from "./hosts.ts";
import type { Launcher } from "./launch.ts";
import type { Namespace } from "./namespace.ts";
import { startDaemons } from "./overlay-daemons.ts";
import { HelperMeter, type Testbed } from "./testbed.ts";
import type { Workshop } from "./workshop.ts";

/** The ends of a stream, and what carries it. */
export interface Ends {
  readonly client: Namespace;
  readonly server: Namespace;
  readonly serverAddress: string;
  /** Null where the kernel does all. */
  readonly meter: HelperMeter | null;
  /** Null where there are no members. */
  readonly joining: Joining | null;
}

export interface Joining {
  /** Answers for names of members, on host B. */
  readonly nameServer: string;
  /** A member on host A that is not on the overlay yet, and how it joins: until the command has ended. */
  candidate(): Promise<Candidate>;
}

export interface Candidate extends AsyncDisposable {
  join(name: string): Promise<void>;
}

export interface OverlayTestbed extends Testbed {
  readonly joining: Joining | null;
}

const A = "10.100.0.10";
const B = "10.100.0.11";

/** @throws NotAvailable if the machine lacks what the peer is made of. */
export async function createOverlay(
  workshop: Workshop,
  helper: Helper,
  { congestion }: Pick<Cell, "congestion">,
  { encrypted, link }: OverlayWorkload,
): Promise<OverlayTestbed> {
  await using scope = new AsyncDisposableStack();
  const hosts = scope.use(await createHosts(workshop, link));
  const ends = await connect(workshop, helper, hosts, encrypted, scope);
  const { client, server, serverAddress, meter, joining } = ends;
  for (const end of [client, server]) await end.setCongestionControl(congestion);
  await client.shell(`until ping -c 1 -W 1 ${serverAddress}; do sleep 0.1; done`);
  const { programs } = workshop;
  const owned = scope.move();
  return {
    programs,
    helper: meter,
    joining,
    serverAddress,
    hostAddress: serverAddress,
    startOnHost: (argv) => server.start(argv),
    startInGuest: (argv) => client.start(argv),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** @param scope gets what is started */
async function connect(
  workshop: Workshop,
  helper: Helper,
  hosts: Hosts,
  encrypted: boolean,
  scope: AsyncDisposableStack,
): Promise<Ends> {
  if (helper instanceof Underlay) return endsOf(hosts, hosts.b.address, null);
  if (helper instanceof Vxlan) return await connectByVxlan(hosts);
  if (helper instanceof WireguardGo) return await connectByWireguard(workshop, hosts, scope);
  return await startDaemons(workshop, hosts, { encrypted, client: A, server: B }, scope);
}

/** The hosts are the ends themselves. */
function endsOf({ a, b }: Hosts, serverAddress: string, meter: HelperMeter | null): Ends {
  return { client: a.namespace, server: b.namespace, serverAddress, meter, joining: null };
}

async function connectByVxlan(hosts: Hosts): Promise<Ends> {
  const { a, b } = hosts;
  try {
    await addVxlan(a, b, A);
    await addVxlan(b, a, B);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NotAvailable(
      `no vxlan device: root may have to load the kernel's module (${reason})`,
    );
  }
  return endsOf(hosts, B, null);
}

async function addVxlan({ namespace, address }: Host, to: Host, inside: string): Promise<void> {
  await namespace.shell(`
    ip link add vxlan type vxlan id 42 dstport 4789 local ${address} remote ${to.address} dev eth0
    ip address add ${inside}/16 dev vxlan
    ip link set vxlan up
  `);
}

async function connectByWireguard(
  { launcher }: Workshop,
  hosts: Hosts,
  scope: AsyncDisposableStack,
): Promise<Ends> {
  const { a, b } = hosts;
  const [keyA, keyB] = [makeKeys(), makeKeys()];
  const began = performance.now();
  const pids = [
    await startWireguard(launcher, scope, a, A, keyA.secret, b, B, keyB.open),
    await startWireguard(launcher, scope, b, B, keyB.secret, a, A, keyA.open),
  ];
  return endsOf(hosts, B, new HelperMeter(performance.now() - began, pids));
}

/** In a mount namespace, as its socket has a fixed place. It prints a banner where it prints errors. */
async function startWireguard(
  launcher: Launcher,
  scope: AsyncDisposableStack,
  { namespace }: Host,
  inside: string,
  secret: string,
  to: Host,
  toInside: string,
  open: string,
): Promise<number> {
  const script = `
    mount -t tmpfs tmpfs /run
    read -r secret
    echo "$secret" > /run/secret
    {
      until wg show wg0 > /run/shown 2>&1; do kill -0 $$; sleep 0.02; done
      wg set wg0 private-key /run/secret listen-port 51820 \\
        peer ${open} endpoint ${to.address}:51820 allowed-ips ${toInside}/32
      ip address add ${inside}/16 dev wg0
      ip link set wg0 mtu 1420 up
      echo ready
    } &
    exec wireguard-go -f wg0 2> /run/said
  `;
  const command = ["unshare", "--mount", "sh", "-euc", script, "sh"];
  const program = scope.use(launcher.start(namespace.inside(command), "wireguard-go"));
  program.send(secret);
  await program.line();
  return await program.pid();
}

/** A key pair of X25519 as wg(8) writes it. */
function makeKeys(): { secret: string; open: string } {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const { d = "" } = privateKey.export({ format: "jwk" });
  const { x = "" } = publicKey.export({ format: "jwk" });
  const [secret, open] = [d, x].map((text) => Buffer.from(text, "base64url").toString("base64"));
  return { secret: secret ?? "", open: open ?? "" };
}
