import { join } from "node:path";
import { httpName, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import { iperf3, startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../lab/namespace.ts";
import { isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { checksumOptions, mangledZero } from "../lab/tshark.ts";
import { test as base, describe, expect } from "./fixture.ts";

const size = 4 * 1024 * 1024;

const test = base.extend("sha256", { scope: "file" }, ({ lab }: { lab: Lab }) =>
  lab.world.http.addFile("4MB", size),
);

test.runIf(isSlipway)(
  "a TAP made by another program gets the virtio header when it is attached",
  async ({ lab, annotate }) => {
    const prepare = "ip tuntap add name tap0 mode tap";
    await using guest = await lab.guest({ prepare, options: ["--stats"] });
    const server = await startIperf3(lab.world.root, served.services);
    const down = await iperf3(guest, server, 2, ["--reverse"]);
    const up = await iperf3(guest, server, 2);
    const figures = await finalFigures(guest);
    await annotate(`${up} up, ${down} down Mbit/s`, "measured");
    expect(figures.get("tcp-superframes-out")).toBeGreaterThan(0);
  },
);

/** A namespace inside the guest, whose packets the guest forwards through a veth pair. */
async function behind(guest: Guest): Promise<HeldNamespace> {
  const inner = await guest.namespace.unshare(["net"]);
  // Without the veth's offload the kernel completes the checksums that were left to it, and splits
  // superframes, before it forwards.
  await guest.namespace.shell(`
    ip link add inner type veth peer name eth0 netns ${inner.pid}
    ethtool -K inner tx off > /dev/null
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
    ip -batch - <<END
link set inner up
address add 10.0.2.254/32 dev inner
address add fd00::fe/128 dev inner nodad
route add 10.0.2.101/32 dev inner
route add fd00::101/128 dev inner
END
  `);
  await inner.shell(`
    ethtool -K eth0 tx off > /dev/null
    ip -batch - <<END
link set lo up
link set eth0 up
address add 10.0.2.101/32 dev eth0
address add fd00::101/128 dev eth0 nodad
route add 10.0.2.254/32 dev eth0
route add fd00::fe/128 dev eth0
route add default via 10.0.2.254
route add default via fd00::fe
END
  `);
  return inner;
}

/** Records what passes eth0 meanwhile. @returns one line for each TCP segment, see `fields` */
async function captured(
  place: Namespace,
  file: string,
  work: () => Promise<void>,
): Promise<string[]> {
  const capture = place.spawn(["dumpcap", "-i", "eth0", "-w", file]);
  await capture.printed(/File:/);
  await work();
  capture.kill("SIGINT");
  await capture.ended(10_000);
  const segments = `tcp && !(${mangledZero})`;
  const text = await place.output(
    ["tshark", "-r", file, ...checksumOptions, "-Y", segments, "-T", "fields", ...fields],
    { timeoutMs: 60_000 },
  );
  return text.trimEnd().split("\n");
}

const fields = ["frame.len", "ip.checksum.status", "tcp.checksum.status"].flatMap((field) => [
  "-e",
  field,
]);

describe("forwarded traffic of the guest", () => {
  test.for([
    [4, "1\t1"],
    [6, "\t1"],
  ] as const)(
    "has right checksums on the wire, in IPv%i",
    async ([family, good], { lab, sha256, annotate }) => {
      await using guest = await lab.guest({ ipv6: true });
      const inner = await behind(guest);
      const http = family === 4 ? served.http : `[${served.http6}]`;
      const curl = `curl -sS --fail --resolve ${httpName}:80:${http} http://${httpName}`;
      const lines = await captured(inner, join(lab.directory, `v${family}.pcapng`), async () => {
        const down = await inner.shell(`${curl}/4MB | sha256sum`);
        expect(down.slice(0, 64)).toBe(sha256);
        await inner.shell(
          `${curl}/4MB > ${lab.directory}/up; ${curl}/up --upload-file ${lab.directory}/up`,
        );
        expect(await lab.world.http.sha256("up")).toBe(sha256);
      });
      await annotate(`${lines.length} segments`, "measured");
      expect(lines.length).toBeGreaterThan(100);
      for (const line of lines) {
        const [length, ...statuses] = line.split("\t");
        expect(Number(length)).toBeLessThanOrEqual(1514);
        expect(statuses.join("\t")).toBe(good);
      }
    },
  );
});

describe("a narrow link behind the guest", () => {
  test.for([
    [4, served.http],
    [6, `[${served.http6}]`],
  ] as const)(
    "is learned from the guest's ICMP, IPv%i",
    async ([family, http], { lab, sha256 }) => {
      await using guest = await lab.guest({ ipv6: true });
      const inner = await behind(guest);
      // The end of the path announces 1,500 bytes in its SYN, the guest forwards 1,300.
      await guest.namespace.shell("ip link set inner mtu 1300");
      const curl = `curl -gsS -m 20 --fail --resolve ${httpName}:80:${http} http://${httpName}/4MB`;
      const down = await inner.shell(`${curl} | sha256sum`);
      expect(down.slice(0, 64)).toBe(sha256);
      const told = await guest.namespace.shell(
        family === 4
          ? "awk '/^Icmp: [0-9]/ { print $20 }' /proc/net/snmp"
          : "awk '/^Icmp6OutPktTooBigs/ { print $2 }' /proc/net/snmp6",
      );
      expect(Number(told)).toBeGreaterThan(0);
    },
  );
});
