import { join } from "node:path";
import { httpName, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { checksumOptions, wrongChecksum } from "../lab/tshark.ts";
import { test as base, describe, expect } from "./fixture.ts";

// No peer writes captures like ours.
const test = base.runIf(isSlipway);

const INBOUND = "0x00000001";
const OUTBOUND = "0x00000002";
const GOOD = "1";

/** tshark's view of a capture: the fields of the packets that pass the filter, one line each. */
async function packets(
  lab: Lab,
  file: string,
  filter: string,
  ...fields: string[]
): Promise<string[]> {
  const shown = fields.flatMap((field) => ["-e", field]);
  const command = [
    "tshark",
    "-n",
    "-r",
    file,
    ...checksumOptions,
    "-Y",
    filter,
    "-T",
    "fields",
    ...shown,
  ];
  const { code, stdout, stderr } = await lab.host.root.run(command, { timeoutMs: 60_000 });
  // As root it warns of being root, and of nothing else.
  expect(stderr.replace(/^Running as user "root".*\n/, "")).toBe("");
  expect(code).toBe(0);
  return stdout.split("\n").slice(0, -1);
}

describe.for([
  [4, `${served.http}`, served.services],
  [6, `[${served.http6}]`, served.services6],
] as const)("a capture of IPv%i", ([family, http, services]) => {
  test("is read by tshark without complaint", async ({ lab, annotate }) => {
    const file = join(lab.directory, `v${family}.pcapng`);
    const size = 3_000_000;
    const sha256 = await lab.world.http.addFile("captured", size);
    await using guest = await lab.guest({ ipv6: true, options: [`--pcap=${file}`] });
    const curl = `curl -gsS --fail --resolve ${httpName}:80:${http} http://${httpName}`;
    const upload = `curl -gsS --fail --resolve ${httpName}:80:${http} -T - http://${httpName}/up`;
    const down = await guest.namespace.shell(`${curl}/captured | sha256sum`);
    expect(down.slice(0, 64)).toBe(sha256);
    await guest.namespace.shell(`head -c ${size} /dev/zero | ${upload}`);
    await guest.namespace.output(["dig", `@${guest.addresses.dns}`, httpName]);
    const echo = await lab.world.agent.echoUdp(services);
    const socket = await (await guest.agent()).udp(family === 4 ? "0.0.0.0" : "::");
    await socket.send(echo, "in fragments ".repeat(500));
    await socket.receive();
    await guest.close();

    // Both ways, of all sizes; Wireshark's experts report neither errors nor broken packets.
    const lengths = await packets(lab, file, "tcp.len > 0", "frame.packet_flags", "tcp.len");
    await annotate(`${lengths.length} frames of TCP with data`, "measured");
    for (const way of [INBOUND, OUTBOUND]) {
      const own = lengths.map((line) => line.split("\t")).filter(([flags]) => isWay(flags, way));
      const bytes = own.reduce((sum, [, length]) => sum + Number(length), 0);
      expect(bytes).toBeGreaterThan(size);
    }
    expect(
      await packets(
        lab,
        file,
        "_ws.expert.severity == error || _ws.malformed",
        "_ws.expert.message",
      ),
    ).toEqual([]);
    const checked = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"];
    const statuses = await packets(lab, file, "tcp || udp", ...checked);
    expect(statuses.some((line) => line.includes(GOOD))).toBe(true);
    expect(await packets(lab, file, wrongChecksum, "frame.number")).toEqual([]);
    const reassembled = family === 4 ? "ip.reassembled.length" : "ipv6.reassembled.length";
    expect(await packets(lab, file, reassembled, reassembled)).toHaveLength(2);
    // A superframe has a comment that says so, besides what Wireshark calls a large frame.
    const comments = await packets(lab, file, "frame.len > 1514", "frame.comment");
    expect(comments.length).toBeGreaterThan(10);
    for (const comment of comments) {
      expect(comment).toMatch(new RegExp(`^superframe: TSOv${family}, 14\\d\\d-byte segments$`));
    }
    expect(new Set(await packets(lab, file, "frame", "frame.interface_name"))).toEqual(
      new Set(["tap0"]),
    );
  });
});

/** The lowest two bits are the direction. */
function isWay(flags: string | undefined, way: string): boolean {
  return (Number(flags) & 3) === Number(way);
}

describe("--pcap", () => {
  test("marks dropped frames with the reason", async ({ lab }) => {
    const file = join(lab.directory, "drops.pcapng");
    await using guest = await lab.guest({ ipv6: true, options: [`--pcap=${file}`] });
    await guest.namespace.shell("ip route add 224.0.0.0/4 dev tap0");
    const socket = await (await guest.agent()).udp("0.0.0.0");
    await socket.send({ address: "224.0.0.251", port: 5353 }, "to a group");
    await guest.run(["ping", "-c", "1", "-W", "2", guest.addresses.gateway]);
    await guest.close();
    const dropped = await packets(lab, file, "udp.dstport == 5353", "frame.comment");
    expect(dropped).toEqual(["dropped: policy-multicast"]);
    expect(await packets(lab, file, "icmp", "frame.comment")).toEqual(["", ""]);
  });

  test("marks datagrams that leave as one message", async ({ lab }) => {
    const file = join(lab.directory, "uso.pcapng");
    await using guest = await lab.guest({ options: [`--pcap=${file}`] });
    const server = await lab.world.agent.udp(served.services);
    const client = await (await guest.agent()).udp("0.0.0.0");
    await client.send(server.endpoint, "hello");
    const { from } = await server.receive();
    const sent = Array.from({ length: 40 }, () => "x".repeat(1000));
    await Promise.all(sent.map((text) => server.send(from, text)));
    for (const text of sent) expect(await client.receive()).toMatchObject({ text });
    await guest.close();
    const comments = await packets(lab, file, "udp.length > 1508", "frame.comment");
    expect(new Set(comments)).toEqual(new Set(["superframe: USO, 1000-byte datagrams"]));
  });

  test("of slipway run has the run's traffic and is readable by its user alone", async ({
    lab,
  }) => {
    const file = join(lab.directory, "run.pcapng");
    const command = ["curl", "-sS", "--fail", `http://${httpName}/`, "-o", "/dev/null"];
    const run = lab.host.slipway(["run", "--pcap", file, "--tap", "eth7", "--", ...command]);
    await run.ended(20_000);
    expect(await packets(lab, file, "http.request", "frame.interface_name", "http.host")).toEqual([
      `eth7\t${httpName}`,
    ]);
    expect(await lab.host.root.output(["stat", "-c", "%a", file])).toBe("600\n");
  });

  test("ends with one warning when the disk is full, and traffic goes on", async ({ lab }) => {
    const disk = join(lab.directory, "small");
    await lab.host.root.shell(`mkdir ${disk}; mount -t tmpfs -o size=256k,mode=777 none ${disk}`);
    const file = join(disk, "full.pcapng");
    const sha256 = await lab.world.http.addFile("large", 2_000_000);
    await using guest = await lab.guest({ options: [`--pcap=${file}`] });
    for (const _ of [1, 2]) {
      const down = await guest.namespace.shell(`curl -sS http://${httpName}/large | sha256sum`);
      expect(down.slice(0, 64)).toBe(sha256);
    }
    await guest.close();
    expect(guest.helper.stderr).toBe(
      `slirp4netns: warning: capture to ${file} ended: it cannot be written (ENOSPC); traffic goes on\n`,
    );
    // Only complete blocks.
    expect((await packets(lab, file, "tcp", "tcp.len")).length).toBeGreaterThan(5);
  });

  test.for(["/dev/full", "/nowhere/file.pcapng", "/etc"])(
    "%s, which cannot be written",
    async (file, { lab }) => {
      const { code, stderr } = await lab.host
        .slipway(["run", "--pcap", file, "--", "true"])
        .ended(10_000);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^slipway: --pcap ${file} cannot be written \\(E[A-Z]+\\): [^\\n]+\\n$`),
      );
    },
  );
});
