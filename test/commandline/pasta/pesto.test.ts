import { describe, expect, test } from "vitest";
import type { PestoChange } from "../../../src/commandline/pasta/pesto.js";
import { pesto, refusal } from "./parse.js";

/** Changes in words, such as `add -t 2000`. */
function changes(line: string): string[] {
  return pesto(...line.split(" ")).changes.map(shown);
}

function shown(change: PestoChange): string {
  if (change.action === "clear") return `clear ${change.direction}`;
  const { action, protocol, direction, ports } = change;
  const { first, last } = ports.range;
  const to = ports.targetAddress === null ? "" : ` to ${ports.targetAddress}`;
  return `${action} ${direction} ${protocol} ${ports.address ?? ""}/${first}-${last}${to}`;
}

describe("what pesto asks for", () => {
  test("podman's ports of bridge networks", () => {
    const line = "-t 0.0.0.0/8080 -t [::]/8080 -u 127.0.0.1/53-60 /run/pasta.sock";
    for (const action of ["add", "delete"]) {
      expect(changes(`--${action} ${line}`)).toEqual([
        `${action} inbound tcp 0.0.0.0/8080-8080`,
        `${action} inbound tcp ::/8080-8080`,
        `${action} inbound udp 127.0.0.1/53-60`,
      ]);
    }
    expect(pesto(..."--add -t 80 /run/pasta.sock".split(" "))).toMatchObject({
      socket: "/run/pasta.sock",
      show: false,
    });
  });

  test("podman's ports of one container, from 6.1 on", () => {
    expect(changes("--add -t 0.0.0.0/8080:10.89.0.2/80 -t [::]/8080:fd00::2/80 /x")).toEqual([
      "add inbound tcp 0.0.0.0/8080-8080 to 10.89.0.2",
      "add inbound tcp ::/8080-8080 to fd00::2",
    ]);
  });

  test("RootlessKit's port driver", () => {
    expect(changes("-A --tcp-ports=0.0.0.0/8080:80 /x")).toEqual([
      "add inbound tcp 0.0.0.0/8080-8080",
    ]);
    expect(changes("-D --udp-ports=::/8080:80 /x")).toEqual(["delete inbound udp ::/8080-8080"]);
  });

  test("without an action the ports take the place of those of their table", () => {
    expect(changes("-t 1024 -U 1025 -u 1026 /x")).toEqual([
      "clear inbound",
      "add inbound tcp /1024-1024",
      "clear outbound",
      "add outbound udp /1025-1025",
      "add inbound udp /1026-1026",
    ]);
    expect(changes("-t none /x")).toEqual(["clear inbound"]);
  });

  test("actions are carried out in their order, each until the next", () => {
    expect(changes("-A -t 2000 -C HOST -T 3000 -t 2001 -D -u 5000,5001 -C SPLICE /x")).toEqual([
      "add inbound tcp /2000-2000",
      "clear inbound",
      "add outbound tcp /3000-3000",
      "add inbound tcp /2001-2001",
      "delete inbound udp /5000-5000",
      "delete inbound udp /5001-5001",
      "clear outbound",
    ]);
    expect(changes("--add -t none /x")).toEqual([]);
  });

  test("options may follow the path", () => {
    expect(changes("/x -A -t 80")).toEqual(["add inbound tcp /80-80"]);
  });

  test("it shows the ports if asked, or if it changes none", () => {
    expect(pesto("/x")).toEqual({ socket: "/x", changes: [], show: true });
    expect(pesto("-s", "-A", "-t", "80", "/x").show).toBe(true);
  });

  test.each([
    [[], "the path of pasta's socket is missing"],
    [["/x", "/y"], "pesto takes one path: leave out /y"],
    [[""], "PATH is empty"],
    [["/".padEnd(108, "x")], "Invalid socket path"],
    [["-C", "host", "/x"], "--clear host is no table"],
    [["-C", "constructor", "/x"], "--clear constructor is no table"],
    [["-A", "-t", "foo", "/x"], "Invalid port specifier foo"],
    [["--netns", "/x"], "unrecognized option '--netns'"],
  ])("%j is refused", (args, text) => {
    const message = refusal("pesto", ...args);
    expect(message.slice(0, text.length)).toBe(text);
    expect(message).toMatch(/; see pesto --help$/);
  });
});
