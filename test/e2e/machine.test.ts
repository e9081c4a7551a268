import { link, served } from "../lab/addresses.ts";
import { bootMachine, hasMachines } from "../lab/machine.ts";
import { isSlipway } from "../lab/product.ts";
import { test as base, describe, expect } from "./fixture.ts";
import { servedPasst } from "./passt.ts";

const test = base.runIf(isSlipway && hasMachines);

const BYTES = 10_000_000;
/** Emulated processors are slow, and two may share one real one with other tests. */
const LONG = 300_000;

describe("passt, with a virtual machine", { timeout: LONG }, () => {
  test("has addresses by DHCP and RA, names, and 10 MB out and in by each family", async ({
    lab,
  }) => {
    const sha256 = await lab.world.http.addFile("machine", BYTES);
    const [passt, path] = await servedPasst(lab, "--one-off", "-t", "8230:80,8231:9");
    const machine = await bootMachine(
      lab.host,
      path,
      `
      udhcpc -i eth0 -n -q -O mtu -s /lease
      for try in $(seq 50); do ip -6 route | grep -q default && break; usleep 200000; done
      ip -6 address show dev eth0 scope global
      mkdir /srv
      wget -q -O /srv/named http://world.example/machine && sha256sum /srv/named
      wget -q -O /srv/six 'http://[${served.http6}]/machine' && sha256sum /srv/six
      # The host's, as DHCPv6 leases it: busybox has no client.
      ip -6 address add ${link.host6}/64 dev eth0 nodad
      httpd -p 80 -h /srv
      printf '#!/bin/sh\nsha256sum > /srv/sum; cat /srv/sum > /dev/console; cat /srv/sum >> /srv/sums\n' > /sum
      chmod +x /sum
      nc -ll -p 9 -e /sum &
      echo serving
      until [ "$(grep -c . /srv/sums)" = 2 ]; do sleep 1; done
      `,
    );
    await machine.printed(/serving/, LONG);
    expect(machine.stdout).toMatch(new RegExp(`lease ${link.host} mtu 65520`));
    expect(machine.stdout).toMatch(/inet6 2001:db8:0:1:/);
    expect(machine.stdout).toContain(`${sha256}  /srv/named`);
    expect(machine.stdout).toContain(`${sha256}  /srv/six`);
    for (const host of [link.host, `[${link.host6}]`]) {
      const sum = await lab.world.root.shell(
        `curl -sS -m 120 http://${host}:8230/named | sha256sum`,
      );
      expect(sum.slice(0, 64)).toBe(sha256);
    }
    for (const address of [link.host, link.host6]) {
      const connection = await lab.world.agent.connect({ address, port: 8231 });
      const { sha256: sent } = await connection.send(BYTES);
      await connection.end();
      await machine.printed(new RegExp(`${sent}  -`), LONG);
    }
    await machine.printed(/status 0/, LONG);
    expect(await machine.ended(30_000)).toMatchObject({ code: 0 });
    expect(await passt.ended(10_000)).toMatchObject({ code: 0 });
  });
});
