import { describe, expect, test } from "vitest";
import { parsePasta } from "../../../src/commandline/pasta/command-line.js";
import type { PastaConfig } from "../../../src/commandline/pasta/config.js";
import type { ForwardedPorts } from "../../../src/commandline/pasta/ports.js";
import { address } from "../../base/addresses.js";
import { pasta } from "./parse.js";

const NS = "/run/user/1000/netns/netns-2bd5e1d1-6e1b-4a3f-9a55-0d3f8f5f1f10";
const RN = "/run/user/1000/containers/networks/rootless-netns";

function parse(line: string): PastaConfig {
  return pasta(...line.split(" "));
}

/** As a port of podman's or RootlessKit's is. */
function forwarded(text: string, first: number, targetFirst: number, host: string | null) {
  return {
    text,
    address: host === null ? null : address(host),
    interface: null,
    range: { first, last: first },
    targetFirst,
    targetAddress: null,
    which: "every",
  } satisfies ForwardedPorts;
}

const auto = (option: string): ForwardedPorts => ({
  text: `${option} auto`,
  address: null,
  interface: null,
  range: { first: 1, last: 65_535 },
  targetFirst: 1,
  targetAddress: null,
  which: "listening",
});

const common = "--dns-forward 169.254.1.1 -u none -T none -U none --no-map-gw --quiet";
const none = { tcp: [], udp: [] };

describe("podman's command lines", () => {
  const parsed = parse(
    `--config-net -t 8080-8080:80-80 ${common} --netns ${NS} --map-guest-addr 169.254.1.2`,
  );

  test("run -p 8080:80: the namespace", () => {
    expect(parsed.target).toEqual({ kind: "namespace", netns: NS, userns: null, pid: null });
    expect(parsed.addressing).toEqual({
      families: [4, 6],
      template: { 4: null, 6: null },
      addresses: [],
      netmask: null,
      gateways: [],
      ifname: null,
      mtu: 65_520,
      configure: true,
      copiesAll: { addresses: true, routes: true },
      guestMac: null,
      gatewayMac: 0x9a55_9a55_9a55,
      follows: true,
    });
    expect(parsed).toMatchObject({
      isForeground: false,
      pidFile: null,
      staysWithoutNetns: false,
      controlSocket: null,
    });
  });

  test("run -p 8080:80: ports and mappings", () => {
    expect(parsed.ports).toEqual({
      inbound: { tcp: [forwarded("-t 8080-8080:80-80", 8080, 80, null)], udp: [] },
      outbound: none,
    });
    expect(parsed.mapping).toEqual({
      toLoopback: { 4: null, 6: null },
      toShadowed: { 4: address("169.254.1.2"), 6: null },
    });
    expect(parsed.dns).toMatchObject({
      forward: [address("169.254.1.1")],
      host: [],
      announced: [],
    });
    expect(parsed.log.level).toBe("warning");
  });

  test("run -p 127.0.0.1:8081:80/udp", () => {
    const { ports } = parse(
      `--config-net -u 127.0.0.1/8081-8081:80-80 --dns-forward 169.254.1.1 -t none -T none -U none --no-map-gw --quiet --netns ${NS} --map-guest-addr 169.254.1.2`,
    );
    const udp = [forwarded("-u 127.0.0.1/8081-8081:80-80", 8081, 80, "127.0.0.1")];
    expect(ports).toEqual({ inbound: { tcp: [], udp }, outbound: none });
  });

  test("--net=pasta:-I,foo0,--mtu,1400", () => {
    const { addressing } = parse(
      `--config-net -I foo0 --mtu 1400 -t none ${common} --netns ${NS} --map-guest-addr 169.254.1.2`,
    );
    expect(addressing).toMatchObject({ ifname: "foo0", mtu: 1400 });
  });

  test("bridge networks, with a socket for pesto", () => {
    const config = parse(
      `--config-net --pid ${RN}/rootless-netns-conn.pid --dns-forward 169.254.1.1 -t none -u none -T none -U none --no-map-gw --quiet --netns ${RN}/rootless-netns --map-guest-addr 169.254.1.2 -c ${RN}/pasta.sock`,
    );
    expect(config).toMatchObject({
      pidFile: `${RN}/rootless-netns-conn.pid`,
      controlSocket: `${RN}/pasta.sock`,
      ports: { inbound: none, outbound: none },
      target: { netns: `${RN}/rootless-netns` },
    });
  });

  test("the newest podman maps one address to the host's loopback and to the shadowed address", () => {
    const { mapping } = parse(
      `--config-net -t none ${common} --netns ${NS} --map-guest-addr 169.254.1.2 --map-host-loopback 169.254.1.2`,
    );
    expect(mapping).toEqual({
      toLoopback: { 4: address("169.254.1.2"), 6: null },
      toShadowed: { 4: address("169.254.1.2"), 6: null },
    });
  });

  test("run -p [::1]:8080-8082:80-82: an IPv6 address has no brackets", () => {
    const { ports } = parse(`--config-net -t ::1/8080-8082:80-82 ${common} --netns ${NS}`);
    expect(ports.inbound.tcp).toMatchObject([
      { address: address("::1"), range: { first: 8080, last: 8082 }, targetFirst: 80 },
    ]);
  });

  test("build: RUN in the namespace of a process", () => {
    const { target } = parse(
      `--config-net -t none ${common} --netns /proc/4711/ns/net --map-guest-addr 169.254.1.2`,
    );
    expect(target).toMatchObject({ netns: "/proc/4711/ns/net", pid: null });
  });

  test("info: --version exits with 0", () => {
    const invocation = parsePasta("pasta", ["--version"]);
    expect(invocation).toMatchObject({
      kind: "print",
      text: expect.stringMatching(/^pasta 0\.0~/),
    });
  });
});

describe("RootlessKit's command lines", () => {
  const plan =
    "--ns-ifname=tap0 --mtu=65520 --config-net --address=10.0.2.100 --netmask=24 --gateway=10.0.2.2 --dns-forward=10.0.2.3";

  test("--net=pasta", () => {
    const config = parse(
      `--foreground ${plan} --no-map-gw --ipv4-only --tcp-ports=auto --udp-ports=auto --host-lo-to-ns-lo 4711`,
    );
    expect(config.target).toEqual({
      kind: "namespace",
      netns: "/proc/4711/ns/net",
      userns: "/proc/4711/ns/user",
      pid: 4711,
    });
    expect(config).toMatchObject({ isForeground: true, hostLoopbackToGuestLoopback: true });
    expect(config.addressing).toMatchObject({
      families: [4],
      addresses: [{ address: address("10.0.2.100"), length: null }],
      netmask: 24,
      gateways: [address("10.0.2.2")],
      ifname: "tap0",
      mtu: 65_520,
      configure: true,
    });
    expect(config.ports).toEqual({
      inbound: { tcp: [auto("-t")], udp: [auto("-u")] },
      outbound: { tcp: [auto("-T")], udp: [auto("-U")] },
    });
  });

  test("with a TAP of its own, and --ipv6", () => {
    const config = parse(
      "--stderr --ns-ifname=tap0 --mtu=65520 --no-dhcp --no-ra --address=10.0.2.100 --netmask=24 --gateway=10.0.2.2 --dns-forward=10.0.2.3 --tcp-ports=none --udp-ports=none 4711",
    );
    expect(config).toMatchObject({
      isForeground: false,
      services: { dhcp: false, dhcpv6: true, ndp: true, ra: false },
      addressing: { configure: false, families: [4, 6] },
      ports: { inbound: none },
      mapping: { toLoopback: { 4: "gateway", 6: "gateway" } },
    });
  });

  test("--detach-netns", () => {
    const { target } = parse(
      `--foreground ${plan} --tcp-ports=none --udp-ports=none --userns=/proc/4711/ns/user --netns=/proc/4711/root/tmp/rootlesskit/netns`,
    );
    expect(target).toEqual({
      kind: "namespace",
      netns: "/proc/4711/root/tmp/rootlesskit/netns",
      userns: "/proc/4711/ns/user",
      pid: null,
    });
  });

  test("the probe of a feature exits with 0", () => {
    expect(parsePasta("pasta", ["--host-lo-to-ns-lo", "--version"]).kind).toBe("print");
    expect(() => parsePasta("pasta", ["--no-such-option", "--version"])).toThrow(
      "unrecognized option '--no-such-option'",
    );
  });
});
