import { constants } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { parseMac } from "../../src/base/mac.js";
import {
  addAddress,
  addDefaultRoute,
  LOOPBACK_IFINDEX,
  linkUp,
  setLink,
} from "../../src/wire/rtnetlink.js";
import { TestNamespace } from "./netns.js";

const TAP = "tap7";

let namespace: TestNamespace;
let ifindex: number;

beforeEach(async () => {
  namespace = await TestNamespace.open();
  namespace.run("ip", "tuntap", "add", "name", TAP, "mode", "tap");
  ifindex = namespace.link(TAP).ifindex;
});

afterEach(async () => {
  await namespace.close();
});

function parsed(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(`${text} does not parse`);
  return address;
}

interface Configuration {
  readonly family: "-4" | "-6";
  readonly address: string;
  readonly length: number;
  readonly gateway: string;
  readonly extra: object;
}

describe("the kernel understands", () => {
  it("setLink with every setting", () => {
    const mac = parseMac("02:00:5e:10:00:07") ?? 0;
    const message = setLink(ifindex, { mtu: 65520, txqueuelen: 10_000, mac });
    expect(namespace.send(message)).toEqual([0]);
    const link = namespace.link(TAP);
    expect(link).toMatchObject({ mtu: 65520, txqlen: 10_000, address: "02:00:5e:10:00:07" });
    expect(link.flags).not.toContain("UP");
  });

  it("linkUp leaves the rest as it is", () => {
    const before = namespace.link(TAP);
    expect(namespace.send(linkUp(ifindex))).toEqual([0]);
    const after = namespace.link(TAP);
    const { mtu, txqlen, address } = before;
    expect(after).toMatchObject({ mtu, txqlen, address });
    expect(before.flags).not.toContain("UP");
    expect(after.flags).toContain("UP");
  });

  it("linkUp of the loopback interface", () => {
    expect(namespace.send(linkUp(LOOPBACK_IFINDEX))).toEqual([0]);
    const lo = namespace.link("lo");
    expect(lo.flags).toContain("UP");
    expect(lo.addr_info).toContainEqual(expect.objectContaining({ local: "127.0.0.1" }));
  });

  it.each<Configuration>([
    {
      family: "-4",
      address: "10.0.2.100",
      length: 24,
      gateway: "10.0.2.2",
      extra: { broadcast: "10.0.2.255" },
    },
    { family: "-6", address: "fd00::100", length: 64, gateway: "fd00::2", extra: { nodad: true } },
  ])(
    "addAddress and addDefaultRoute, ip $family",
    ({ family, address, length, gateway, extra }) => {
      const messages = [
        setLink(ifindex, { mtu: 1500 }),
        linkUp(ifindex),
        addAddress(ifindex, parsed(address), length),
        addDefaultRoute(ifindex, parsed(gateway)),
      ];
      expect(namespace.send(...messages)).toEqual([0, 0, 0, 0]);
      const link = namespace.link(TAP, family);
      expect(link.addr_info).toContainEqual(
        expect.objectContaining({ local: address, prefixlen: length, scope: "global", ...extra }),
      );
      expect(namespace.ip(family, "route", "show", "default")).toEqual([
        expect.objectContaining({ dst: "default", gateway, dev: TAP }),
      ]);
    },
  );

  it("the same request twice", () => {
    const messages = [
      linkUp(ifindex),
      addAddress(ifindex, parsed("10.0.2.100"), 24),
      addDefaultRoute(ifindex, parsed("10.0.2.2")),
    ];
    expect(namespace.send(...messages, ...messages)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

it("the kernel refuses a link that does not exist", () => {
  expect(namespace.send(linkUp(4711))).toEqual([-constants.errno.ENODEV]);
});
