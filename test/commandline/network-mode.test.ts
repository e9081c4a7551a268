import { describe, expect, test } from "vitest";
import { type FirstAttachment, parseNetworkMode } from "../../src/commandline/network-mode.ts";

const nothing: FirstAttachment = { ip: [], macAddress: null, alias: [] };

describe("--network", () => {
  test.each([
    [[], { kind: "slirp" }],
    [["slirp"], { kind: "slirp" }],
    [["host"], { kind: "host" }],
    [["none"], { kind: "none" }],
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
    [["host", "web"], nothing, "cannot be combined"],
    [["web", "container:db"], nothing, "cannot be combined"],
    [["web:colour=red"], nothing, '"colour=red" is not one of ip=, ip6=, mac=, alias=, ifname='],
    [["web:ip"], nothing, '"ip" is not one of'],
    [[":ip=10.89.1.5"], nothing, "write it like web"],
    [[], { ...nothing, ip: ["10.89.1.5"] }, "add --network NAME"],
    [["none"], { ...nothing, alias: ["db"] }, "add --network NAME"],
  ])("%j is refused", (texts, first, sentence) => {
    expect(() => parseNetworkMode(texts, first)).toThrow(sentence);
  });
});
