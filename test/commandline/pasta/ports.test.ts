import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ForwardedPorts } from "../../../src/commandline/pasta/ports.js";
import { passt, pasta, refusal } from "./parse.js";

/** TCP ports that lead to the guest, each as `ADDRESS%INTERFACE/FIRST-LAST:TARGET-TARGET which`. */
function inbound(...specifiers: string[]): string[] {
  return pasta(...specifiers.flatMap((each) => ["-t", each]), "4711").ports.inbound.tcp.map(shown);
}

function shown(ports: ForwardedPorts): string {
  const { address, interface: name, range, targetFirst, targetAddress, which } = ports;
  const { first, last } = range;
  const place = `${address ?? ""}${name === null ? "" : `%${name}`}`;
  const target = targetFirst === first ? "" : `:${targetFirst}-${targetFirst + last - first}`;
  const to = targetAddress === null ? "" : ` to ${targetAddress}`;
  return `${place === "" ? "" : `${place}/`}${first}-${last}${target} ${which}${to}`;
}

describe("the notation of ports", () => {
  test.each([
    ["22", ["22-22 every"]],
    ["22:23", ["22-22:23-23 every"]],
    ["22-80:32-90", ["22-80:32-90 every"]],
    ["22,25", ["22-22 every", "25-25 every"]],
    ["1-65535", ["1-65535 every"]],
    ["8080-8080:80-80", ["8080-8080:80-80 every"]],
    ["192.0.2.1/22", ["192.0.2.1/22-22 every"]],
    ["192.0.2.1%eth0/22", ["192.0.2.1%eth0/22-22 every"]],
    ["%eth0/22", ["%eth0/22-22 every"]],
    ["::1/22", ["::1/22-22 every"]],
    ["[::1]/22", ["::1/22-22 every"]],
    ["[::]/8080", ["::/8080-8080 every"]],
    ["0.0.0.0/8080", ["0.0.0.0/8080-8080 every"]],
    ["fe80::1%eth0/22", ["fe80::1%eth0/22-22 every"]],
    ["[fe80::1]%eth0/22", ["fe80::1%eth0/22-22 every"]],
    ["2000-5000,~3000-3010", ["2000-2999 every", "3011-5000 every"]],
    ["2000-5000:3000-6000,~2001", ["2000-2000:3000-3000 every", "2002-5000:3002-6000 every"]],
    ["~3000,2999-3001", ["2999-2999 every", "3001-3001 every"]],
    ["192.0.2.1/20-30,~25", ["192.0.2.1/20-24 every", "192.0.2.1/26-30 every"]],
    ["~20000-20010", ["1-19999 available", "20011-65535 available"]],
    ["~1-9,~11-65535", ["10-10 available"]],
    ["all", ["1-65535 available"]],
    ["all,~22", ["1-21 available", "23-65535 available"]],
    ["::1/all", ["::1/1-65535 available"]],
    ["auto", ["1-65535 listening"]],
    ["auto,~22", ["1-21 listening", "23-65535 listening"]],
    ["8000-8010,auto", ["8000-8010 listening"]],
    ["::1/auto", ["::1/1-65535 listening"]],
    ["0.0.0.0/8080:10.89.0.2/80", ["0.0.0.0/8080-8080:80-80 every to 10.89.0.2"]],
    ["8080:10.89.0.2/80", ["0.0.0.0/8080-8080:80-80 every to 10.89.0.2"]],
    ["80:10.89.0.2", ["0.0.0.0/80-80 every to 10.89.0.2"]],
    ["22,8080:10.89.0.2/80", ["22-22 every", "0.0.0.0/8080-8080:80-80 every to 10.89.0.2"]],
    ["[::]/53-60:fd00::2/153-160", ["::/53-60:153-160 every to fd00::2"]],
    ["80:[fd00::2]/81", ["::/80-80:81-81 every to fd00::2"]],
    [
      "%eth0/80-90:10.89.0.2,~85",
      ["0.0.0.0%eth0/80-84 every to 10.89.0.2", "0.0.0.0%eth0/86-90 every to 10.89.0.2"],
    ],
    ["127.0.0.6/all:10.89.0.2", ["127.0.0.6/1-65535 available to 10.89.0.2"]],
    ["all:10.89.0.2", ["0.0.0.0/1-65535 available to 10.89.0.2"]],
    ["none", []],
  ])("%s", (specifier, expected) => {
    expect(inbound(specifier)).toEqual(expected);
  });

  test("options add up", () => {
    expect(inbound("22", "::1/22", "25", "auto")).toEqual([
      "22-22 every",
      "::1/22-22 every",
      "25-25 every",
      "1-65535 listening",
    ]);
  });

  test("auto or none of a file and of a command line may meet", () => {
    expect(inbound("auto", "auto")).toEqual(["1-65535 listening"]);
    expect(inbound("none", "none")).toEqual([]);
  });

  test("messages have the option as it was given", () => {
    const { ports } = pasta("--tcp-ports=192.0.2.2/8099-8099:80-80", "-U", "53,54", "4711");
    expect(ports.inbound.tcp.map(({ text }) => text)).toEqual(["-t 192.0.2.2/8099-8099:80-80"]);
    expect(ports.outbound.udp.map(({ text }) => text)).toEqual(["-U 53,54", "-U 53,54"]);
  });

  test("pasta's default is auto, passt's none", () => {
    const { inbound: toGuest, outbound } = pasta("4711").ports;
    for (const list of [toGuest.tcp, toGuest.udp, outbound.tcp, outbound.udp]) {
      expect(list.map(shown)).toEqual(["1-65535 listening"]);
    }
    expect(passt().ports).toEqual({
      inbound: { tcp: [], udp: [] },
      outbound: { tcp: [], udp: [] },
    });
  });

  test("host ports may name the guest's loopback, and no other place", () => {
    expect(pasta("-T", "127.0.0.1/80", "4711").ports.outbound.tcp.map(shown)).toEqual([
      "127.0.0.1/80-80 every",
    ]);
    expect(refusal("pasta", "-T", "192.0.2.1/80")).toContain("the guest's loopback only");
    expect(refusal("pasta", "-U", "%eth0/80")).toContain("the guest's loopback only");
  });
});

describe("ports that are refused", () => {
  test.each([
    ["foo"],
    [""],
    ["0"],
    ["65536"],
    ["22,"],
    ["22-"],
    ["23-22"],
    ["22-24:30-31"],
    ["22:23:24"],
    ["22:none"],
    ["-22"],
    ["+22"],
    ["22/tcp"],
    ["999.1.1.1/22"],
    ["192.0.2.1/"],
    ["/22"],
    ["192.0.2.1/none"],
    ["192.0.2.0/24/22"],
    ["192.0.2.1:22"],
    ["::1:22"],
    ["[::1/22"],
    ["[::1%eth0]/22"],
    ["%/22"],
    ["192.0.2.1%a b/22"],
    ["224.0.0.1/22"],
    ["255.255.255.255/22"],
    ["ff02::1/22"],
    ["all,22"],
    ["all,auto"],
    ["22,~22"],
    ["~1-65535"],
    ["~"],
    ["~foo"],
    ["auto,none"],
    ["80:127.0.0.1"],
    ["80:0.0.0.0/80"],
    ["80:224.0.0.1"],
    ["80:10.89.0.2/"],
    ["80:10.89.0.2/80/80"],
    ["80-81:10.89.0.2/80"],
    ["80:10.89.0.2,auto"],
    ["auto:10.89.0.2"],
    ["~80:10.89.0.2"],
    ["::/80:10.89.0.2"],
    ["0.0.0.0/80:fd00::2/80"],
    ["all:foo"],
  ])("%j", (specifier) => {
    const text = `Invalid port specifier ${specifier}: `;
    for (const option of ["-t", "-u", "-T", "-U"]) {
      expect(refusal("pasta", option, specifier, "4711").slice(0, text.length)).toBe(text);
    }
  });

  test.each([
    [["22", "22"], "22"],
    [["22-30", "25:80"], "25:80"],
    [["22,22"], "22,22"],
    [["22-24,23:90"], "22-24,23:90"],
    [["[::1]/80", "::1/80-90"], "::1/80-90"],
  ])("a port twice: %j", (specifiers, text) => {
    const args = specifiers.flatMap((each) => ["-t", each]);
    expect(refusal("pasta", ...args, "4711")).toContain(`Overlapping port specifier ${text}: `);
  });

  test.each([[["none", "22"]], [["22", "none"]], [["auto", "none"]]])("%j", (specifiers) => {
    const args = specifiers.flatMap((each) => ["-u", each]);
    expect(refusal("pasta", ...args, "4711")).toMatch(/^-u none contradicts -u (22|auto): /);
  });

  test("a long one takes no time", () => {
    const list = Array.from({ length: 60_000 }, (_, index) => `~${index + 1}`).join(",");
    expect(refusal("pasta", "-t", list, "4711")).toContain("it has more than 4096 characters");
  });
});

test("a range without some ports has all others, once, and in their order", () => {
  const port = fc.integer({ min: 1, max: 300 });
  const range = fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(
    fc.property(range, fc.array(range, { maxLength: 5 }), ([first, last], excludes) => {
      const left = Array.from({ length: last - first + 1 }, (_, index) => first + index).filter(
        (each) => excludes.every(([low, high]) => each < low || each > high),
      );
      fc.pre(left.length > 0);
      const exclusions = excludes.map(([low, high]) => `,~${low}-${high}`).join("");
      const specifier = `${first}-${last}:${first + 1000}-${last + 1000}${exclusions}`;
      const { tcp } = pasta("-t", specifier, "4711").ports.inbound;
      const ports = tcp.flatMap((entry) => {
        expect(entry.targetFirst - entry.range.first).toBe(1000);
        const count = entry.range.last - entry.range.first + 1;
        return Array.from({ length: count }, (_, index) => entry.range.first + index);
      });
      expect(ports).toEqual(left);
    }),
  );
});
