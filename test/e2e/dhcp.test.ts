import { writeFileSync } from "node:fs";
import { guest6, httpName, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process } from "../lab/process.ts";
import { describe, expect, test } from "./fixture.ts";

/** A guest whose TAP is up and has no address yet. */
class Bare implements AsyncDisposable {
  readonly namespace: HeldNamespace;
  readonly #helper: Process;
  readonly #directory: string;

  private constructor(namespace: HeldNamespace, helper: Process, directory: string) {
    this.namespace = namespace;
    this.#helper = helper;
    this.#directory = directory;
  }

  static async create(lab: Lab, options: readonly string[] = []): Promise<Bare> {
    const namespace = await lab.host.namespace();
    const helper = lab.host.helper([...options, `${namespace.pid}`, "tap0"]);
    await helper.printed(/Starting/);
    await namespace.shell("ip link set lo up; ip link set tap0 up");
    const directory = `${lab.directory}/dhcp.${namespace.pid}`;
    await namespace.shell(`mkdir ${directory}`);
    const bare = new Bare(namespace, helper, directory);
    writeFileSync(lab.host.stage.outside(bare.script), SCRIPT, { mode: 0o755 });
    return bare;
  }

  /** What DHCP clients call with the lease in the environment. */
  get script(): string {
    return `${this.#directory}/script`;
  }

  udhcpc(...args: string[]): Promise<string> {
    const fixed = ["busybox", "udhcpc", "-f", "-n", "-q", "-i", "tap0", "-s", this.script];
    return this.namespace.output([...fixed, "-O", "search", "-O", "mtu", ...args]);
  }

  /**
   * Its output, and what it reported about its messages.
   * @param name of the lease's file: the same name again is a client that has rebooted
   */
  async dhclient(name: string, ...args: string[]): Promise<string> {
    const files = ["-lf", `${this.#directory}/${name}`, "-pf", `${this.#directory}/${name}.pid`];
    const command = ["dhclient", "-1", "-v", ...args, "-sf", this.script, ...files, "tap0"];
    const { stdout, stderr } = await this.namespace.run(command);
    return stdout + stderr;
  }

  /** Ends the dhclient of that lease, as a reboot would: without releasing it. */
  end(name: string): Promise<string> {
    return this.namespace.shell(`
      pid=$(cat ${this.#directory}/${name}.pid)
      kill $pid
      while kill -0 $pid 2>/dev/null; do sleep 0.05; done
    `);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace.run(["sh", "-c", `kill $(cat ${this.#directory}/*.pid)`]);
    this.#helper.kill("SIGTERM");
    await this.#helper.ended(10_000);
    await this.namespace.release();
  }
}

/** Prints the lease, and sets its address and route. */
const SCRIPT = `#!/bin/sh
case "\${1:-$reason}" in
bound|BOUND|REBOOT|BOUND6)
  env | grep -E '^(ip|mask|router|dns|search|mtu|lease|hostname|new_[a-z0-9_]*)=' | sort
  address="\${ip:+$ip/$mask}\${new_ip_address:+$new_ip_address/24}\${new_ip6_address:+$new_ip6_address/64}"
  ip address replace "$address" dev tap0
  for gateway in $router $new_routers; do ip route replace default via $gateway; done
esac
`;

describe("DHCPv4", () => {
  test("udhcpc gets an address and everything else that a guest needs", async ({ lab }) => {
    await lab.host.root.shell("echo 'search a.example b.example' >> /etc/resolv.conf");
    await using bare = await Bare.create(lab, ["--mtu=4000"]);
    const lease = (await bare.udhcpc()).split("\n");
    expect(lease).toContain("ip=10.0.2.15");
    expect(lease).toContain("mask=24");
    expect(lease).toContain("router=10.0.2.2");
    expect(lease).toContain("dns=10.0.2.3");
    expect(lease).toContain("search=a.example b.example");
    expect(lease).toContain("mtu=4000");
    expect(lease).toContain("lease=86400");
    await bare.namespace.output(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
    const command = ["dig", "+short", "@10.0.2.3", httpName, "A"];
    expect((await bare.namespace.output(command)).trim()).toBe(served.http);
  });

  test("dhclient gets an address, and the same one after a reboot", async ({ lab }) => {
    await using bare = await Bare.create(lab);
    // Another client has taken the first address.
    await bare.udhcpc("-x", "0x3d:010203");
    const lease = await bare.dhclient("lease", "-4");
    expect(lease).toContain("new_ip_address=10.0.2.16\n");
    expect(lease).toContain("new_routers=10.0.2.2\n");
    expect(lease).toContain("new_subnet_mask=255.255.255.0\n");
    expect(lease).toContain("new_interface_mtu=1500\n");
    await bare.end("lease");
    const again = await bare.dhclient("lease", "-4");
    expect(again).toContain("new_ip_address=10.0.2.16\n");
  });

  test("a client that asks for the configured address gets another", async ({ lab }) => {
    await using bare = await Bare.create(lab);
    expect(await bare.udhcpc("-r", "10.0.2.100")).toContain("ip=10.0.2.15\n");
  });

  test("a client that moved from another network is refused and starts again", async ({ lab }) => {
    await using bare = await Bare.create(lab, ["--cidr=10.7.0.0/24"]);
    const file = lab.host.stage.outside(bare.script).replace(/script$/, "moved");
    writeFileSync(file, MOVED);
    const output = await bare.dhclient("moved", "-4");
    expect(output).toMatch(/DHCPREQUEST for 192\.168\.7\.9 .*DHCPNAK from 10\.7\.0\.2/s);
    expect(output).toContain("new_ip_address=10.7.0.15\n");
  });
});

/** A lease of dhclient from another network, valid for long. */
const MOVED = `lease {
  interface "tap0";
  fixed-address 192.168.7.9;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-message-type 5;
  option dhcp-server-identifier 192.168.7.1;
  renew 0 2034/01/01 00:00:00;
  rebind 0 2034/01/02 00:00:00;
  expire 0 2034/01/03 00:00:00;
}
`;

describe("DHCPv6", () => {
  test("dhclient gets an address and the DNS server", async ({ lab }) => {
    await using bare = await Bare.create(lab, ["--enable-ipv6"]);
    await linkLocalIsReady(bare.namespace);
    const lease = await bare.dhclient("lease", "-6");
    expect(lease).toContain("new_ip6_address=fd00::f\n");
    expect(lease).toContain(`new_dhcp6_name_servers=${guest6.dns}\n`);
    const command = [
      "curl",
      "-sS",
      "-m",
      "5",
      "--interface",
      "fd00::f",
      `http://[${served.http6}]/`,
    ];
    await expect.poll(async () => (await bare.namespace.run(command)).code).toBe(0);
  });

  test("dhclient gets configuration without an address", async ({ lab }) => {
    await using bare = await Bare.create(lab, ["--enable-ipv6"]);
    await linkLocalIsReady(bare.namespace);
    const output = await bare.dhclient("lease", "-6", "-S");
    expect(output).toContain("RCV: Reply message on tap0 from fe80::2");
  });
});

/** Duplicate address detection takes a second or two; dhclient does not wait for it. */
async function linkLocalIsReady(namespace: HeldNamespace): Promise<void> {
  const show = ["ip", "-6", "address", "show", "dev", "tap0", "scope", "link"];
  await expect.poll(() => namespace.output(show)).toMatch(/^(?!.*tentative).*fe80:/s);
}
