import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { link, served } from "../../lab/addresses.ts";
import { Agent } from "../../lab/agent/client.ts";
import type { Lab } from "../../lab/lab.ts";
import { DaemonUser } from "../daemon-user.ts";
import { describe, expect, test } from "../fixture.ts";
import { addressesOf, changed, FOLLOWED, ip, networkOf, PastaGuest } from "./network.ts";

const OWN4 = `${link.host}/${link.length}`;
const OWN6 = `${link.host6}/${link.length6}`;

/** What the interface has again after it was down: the kernel keeps IPv4 addresses alone. */
const again = `link set eth0 up
  -6 address replace ${OWN6} dev eth0
  route replace default via ${link.world}
  route replace default via ${link.world6}`;

/** Expects the guest to have what an interface of the host has. */
async function expectCopy(lab: Lab, { namespace }: PastaGuest, from = "eth0"): Promise<void> {
  const expected = await networkOf(lab.host.root, from);
  await expect.poll(() => networkOf(namespace, "eth0"), FOLLOWED).toEqual(expected);
}

describe("the guest follows", () => {
  test("addresses and routes that come and go", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab);
    {
      await using _ = await changed(
        lab.host.root,
        `address add 198.51.100.9/24 dev eth0
         address add 2001:db8:0:1::9/64 dev eth0
         route add 192.0.2.64/27 via ${link.world} metric 7
         route add 2001:db8:0:7::/64 via ${link.world6} metric 77`,
        `address delete 198.51.100.9/24 dev eth0
         address delete 2001:db8:0:1::9/64 dev eth0
         route delete 192.0.2.64/27
         route delete 2001:db8:0:7::/64 metric 77`,
      );
      await expectCopy(lab, guest);
      expect(await addressesOf(guest.namespace, "eth0")).toContain("198.51.100.9/24");
    }
    await expectCopy(lab, guest);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN4, OWN6]);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("another address of the host, and what it has itself stays", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab);
    await ip(
      guest.namespace,
      `address add 192.0.2.200/28 dev eth0
       route add 192.0.2.64/27 via 192.0.2.201`,
    );
    await using _ = await changed(
      lab.host.root,
      `address delete ${OWN4} dev eth0
       address add 198.51.100.77/24 dev eth0
       route add default via ${link.world}`,
      `address delete 198.51.100.77/24 dev eth0
       address add ${OWN4} dev eth0
       route add default via ${link.world}`,
    );
    await expect
      .poll(() => networkOf(guest.namespace), FOLLOWED)
      .toEqual(
        expect.arrayContaining([
          "192.0.2.200/28",
          "198.51.100.77/24",
          "-4 192.0.2.64/27 192.0.2.201 0",
          `-4 default ${link.world} 0`,
        ]),
      );
    expect(await addressesOf(guest.namespace, "eth0")).not.toContain(OWN4);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("a host that gets a network", async ({ lab }) => {
    await ip(lab.host.root, "link set eth0 down");
    await using guest = await PastaGuest.start(lab, ["-I", "eth0"]);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual(["169.254.2.1/16"]);
    await ip(lab.host.root, again);
    await expectCopy(lab, guest);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
    expect(await guest.fetch(`http://[${served.http6}]/`)).toBe("ok");
  });

  test("a VPN that takes the default route, until it ends", async ({ lab }) => {
    const { root } = lab.host;
    await using _ = await changed(
      root,
      `route add default via ${link.world} metric 100
       route delete default metric 0`,
      `route replace default via ${link.world}
       route delete default metric 100`,
    );
    await using guest = await PastaGuest.start(lab);
    await expectCopy(lab, guest);
    await ip(lab.world.root, `link add vpnw type veth peer name vpn0 netns ${root.pid}`);
    await ip(lab.world.root, "link set vpnw up\naddress add 192.0.2.130/25 dev vpnw");
    await ip(
      root,
      `link set vpn0 up
       address add 192.0.2.129/25 dev vpn0
       route add default via 192.0.2.130 metric 50`,
    );
    await expect
      .poll(() => networkOf(guest.namespace), FOLLOWED)
      .toEqual(expect.arrayContaining(["192.0.2.129/25", "-4 default 192.0.2.130 50", OWN6]));
    expect(await addressesOf(guest.namespace, "eth0")).not.toContain(OWN4);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
    await ip(root, "link delete vpn0");
    await expectCopy(lab, guest);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("a default route without a next hop", async ({ lab }) => {
    const { root } = lab.host;
    await using _ = await changed(
      root,
      "tuntap add name tun7 mode tun\nlink set tun7 up\naddress add 192.0.2.140/32 dev tun7",
      "link delete tun7",
    );
    await using guest = await PastaGuest.start(lab, ["-i", "tun7", "-I", "eth0"]);
    expect(await networkOf(guest.namespace)).toContain("192.0.2.140/32");
    await ip(root, "route add default dev tun7 metric 900");
    await expect
      .poll(() => networkOf(guest.namespace), FOLLOWED)
      .toContain("-4 default 169.254.2.2 900");
    // What the guest sends goes where the host's own routes lead.
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });
});

describe("the guest stays as it is", () => {
  test("while the host's interface is gone, and its connections go on", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab);
    const before = await networkOf(guest.namespace);
    await using listener = await lab.world.agent.listen(served.services);
    const agent = await Agent.start(guest.namespace, lab.host.stage);
    await using inside = await agent.connect(listener.endpoint);
    await using outside = await listener.accept();
    await ip(lab.host.root, "link set eth0 down");
    await delay(500);
    expect(await networkOf(guest.namespace)).toEqual(before);
    await ip(lab.host.root, again);
    await expectCopy(lab, guest);
    await inside.write("still there");
    expect(await outside.read(11)).toBe("still there");
  });

  test("with --no-follow", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab, ["--no-follow"]);
    await using other = await PastaGuest.start(lab);
    await using _ = await changed(
      lab.host.root,
      "address add 198.51.100.9/24 dev eth0",
      "address delete 198.51.100.9/24 dev eth0",
    );
    await expectCopy(lab, other);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN4, OWN6]);
  });
});

describe("in shared mode", () => {
  test("the daemon's guests follow, too, for as long as they are there", async ({ lab }) => {
    await using daemon = await DaemonUser.create(lab);
    await daemon.ok("daemon", "start");
    const env = Object.entries({ ...daemon.env, SLIPWAY_SHARED: "1" });
    const user = lab.host.user.behind(["env", ...env.map(([name, value]) => `${name}=${value}`)]);
    await using ended = await PastaGuest.start(lab, [], user);
    await ended.pasta[Symbol.asyncDispose]();
    await using guest = await PastaGuest.start(lab, [], user);
    await using other = await PastaGuest.start(lab, ["--no-follow"], user);
    expect(readFileSync(`/proc/${guest.pasta.pid}/cmdline`, "utf8")).not.toMatch(/^[^\0]*node\0/);
    await using _ = await changed(
      lab.host.root,
      `address add 198.51.100.9/24 dev eth0
       route add 192.0.2.64/27 via ${link.world} metric 7`,
      `address delete 198.51.100.9/24 dev eth0
       route delete 192.0.2.64/27`,
    );
    await expectCopy(lab, guest);
    expect(await addressesOf(guest.namespace, "eth0")).toContain("198.51.100.9/24");
    expect(await addressesOf(other.namespace, "eth0")).toEqual([OWN4, OWN6]);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });
});
