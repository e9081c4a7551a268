import { describe, expect, test } from "vitest";
import { type FirstAttachment, parseNetworkMode } from "../../src/commandline/network-mode.ts";

const nothing: FirstAttachment = { ip: [], macAddress: null, alias: [] };

describe("--network", () => {
  test.each([
    [[], { kind: "slirp" }],
    [["slirp"], { kind: "slirp" }],
    [["host"], { kind: "host" }],
    [["none"], { kind: "none" }],
    [["name=host"], { kind: "host" }],
    [["container:db"], { kind: "container", target: "db" }],
    [["container:/run/netns/x"], { kind: "container", target: "/run/netns/x" }],
  ])("%j is a mode of its own", (texts, mode) => {
    expect(parseNetworkMode(texts, nothing)).toEqual(mode);
  });

  test("names networks, with their options", () => {
    const texts = [
      "web:ip=10.89.1.5,ip6=fd00::5,alias=api,alias=www,mac=02:00:00:00:00:05",
      "back:ifname=db0",
    ];
    const first = { ip: [], macAddress: null, alias: ["app"] };
    expect(parseNetworkMode(texts, first)).toEqual({
      kind: "networks",
      attachments: [
        {
          network: "web",
          addresses: ["10.89.1.5", "fd00::5"],
          aliases: ["api", "www", "app"],
          mac: "02:00:00:00:00:05",
          ifname: null,
        },
        { network: "back", addresses: [], aliases: [], mac: null, ifname: "db0" },
      ],
    });
  });

  test.each([
    ["default", "bridge"],
    ["default:alias=x", "bridge:alias=x"],
    ["name=web", "web"],
    ["name=default", "bridge"],
    ["name=web,alias=zz,alias=y,ip=10.89.1.5", "web:alias=zz,alias=y,ip=10.89.1.5"],
    ["ip6=fd00::5,name=web,mac-address=02:00:00:00:00:05", "web:ip6=fd00::5,mac=02:00:00:00:00:05"],
  ])("%s is docker's for %s", (spelling, usual) => {
    expect(parseNetworkMode([spelling], nothing)).toEqual(parseNetworkMode([usual], nothing));
  });

  test.each([
    [
      ["name=web,driver-opt=a=b"],
      nothing,
      "--network web: driver-opt: an attachment has no options",
    ],
    [["name=web,colour=red"], nothing, '--network web: "colour=red" is not one of ip=VALUE'],
    [["alias=x"], nothing, '--network "alias=x": write it like web, web:ip='],
    [["name="], nothing, '--network "name=": write it like web'],
    [["default", "bridge"], nothing, "--network bridge is given twice"],
    [["host", "web"], nothing, "--network host cannot be joined as a network: give it alone"],
    [
      ["web", "name=none"],
      nothing,
      "--network name=none cannot be joined as a network: give it alone",
    ],
    [["web", "container:db"], nothing, "--network container:db cannot be joined"],
    [["web:colour=red"], nothing, '--network web: "colour=red" is not one of ip=VALUE, ip6=VALUE'],
    [["container:"], nothing, "or container:NAME"],
    [["web", "web:alias=x"], nothing, "--network web is given twice: give each network once"],
    [["web:ip"], nothing, '"ip" is not one of'],
    [[":ip=10.89.1.5"], nothing, "write it like web"],
    [["we b"], nothing, '--network "we b" cannot be a network\'s name: begin with'],
    [
      ["web:ip=ten"],
      nothing,
      '--network web: ip "ten" is not an address: write one like 10.89.1.50',
    ],
    [["web:ip=10.89.1.5/24"], nothing, 'is not an address: leave out "/24"'],
    [
      ["web:ip6=10.89.1.5"],
      nothing,
      "--network web: ip6 10.89.1.5 is an IPv4 address: give an IPv6 one",
    ],
    [["web:ip=10.89.1.5,ip=10.89.1.6"], nothing, "--network web: ip is given twice for IPv4"],
    [["web:mac=x"], nothing, '--network web: mac "x" is not the Ethernet address of an interface'],
    [["web:alias=a..b"], nothing, '--network web: alias "a..b" cannot be an alias'],
    [["web:ifname=a/b"], nothing, '--network web: ifname "a/b" is not an interface name'],
    [["web:ip=10.89.1.5"], { ...nothing, ip: ["10.89.1.6"] }, "--ip is given twice for IPv4"],
    [[], { ...nothing, ip: ["10.89.1.5"] }, "add --network NAME"],
    [["none"], { ...nothing, alias: ["db"] }, "add --network NAME"],
  ])("%j is refused", (texts, first, sentence) => {
    expect(() => parseNetworkMode(texts, first)).toThrow(sentence);
  });
});
