import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.js";
import type { Requests } from "../../src/client/target.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import type { DaemonRequest } from "../../src/commandline/requests.js";
import { CommandProxy, isProxied } from "../../src/daemon/shared/command-proxy.js";
import type { LauncherMessage } from "../../src/rpc/launcher.js";
import { native } from "../../src/sys/native.js";

// The order of a connection is the daemon's to keep, whatever the launcher does: e2e tests have the rest.

const request: DaemonRequest = {
  action: "connect",
  attachment: { network: "web" },
  name: "job",
  target: "4711",
};

const given = {
  network: "web",
  ifname: null,
  mac: "02:42:0a:59:00:02",
  mtu: 1500,
  internal: false,
  aliases: [],
  addresses: [{ address: "10.89.0.2", subnet: "10.89.0.0/24", gateway: "10.89.0.1" }],
};

/** What was asked of a daemon that gives a place to everybody, but refuses one method. */
function daemon(refused?: string) {
  const asked: string[] = [];
  const request = async (method: string): Promise<unknown> => {
    asked.push(method);
    if (method === refused) throw new UserError("no");
    return method === "member.join" ? { id: "1", name: "job", attachments: [given] } : {};
  };
  return { asked, requests: { request } as unknown as Requests };
}

function fdIsOpen(fd: number): boolean {
  return native.isOpenFd(fd);
}

describe("a launcher that has a namespace connected", () => {
  let tap: number;
  let sent: number[];
  beforeEach(() => {
    const file = openSync(devNull, "r");
    tap = native.copyFd(file);
    closeSync(file);
    sent = [];
  });
  afterEach(() => {
    // It has been given back, whatever happened.
    expect(fdIsOpen(tap)).toBe(false);
  });

  const tapMessage: LauncherMessage = {
    kind: "tap",
    tap: { ifindex: 2, name: "eth0", namespace: "4:4026532000", started: "100" },
  };
  const Plan = 1;
  const Up = 2;
  const Answer = 5;

  function start(requests: Requests) {
    const proxy = new CommandProxy(requests, (message) => sent.push(message[0]));
    return { proxy, ended: proxy.answer(request) };
  }

  /** Until this many messages were sent. */
  async function until(count: number): Promise<void> {
    while (sent.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  test("gets its instructions step by step, and then the answer", async () => {
    const { asked: methods, requests } = daemon();
    const { proxy, ended } = start(requests);
    await until(1);
    expect(proxy.onMessage(tapMessage, tap)).toBe(true);
    await until(2);
    expect(methods).toEqual(["member.join"]);
    expect(proxy.onMessage({ kind: "done" }, null)).toBe(true);
    await ended;
    expect(sent).toEqual([Plan, Up, Answer]);
    expect(methods).toEqual(["member.join", "member.attach"]);
  });

  test.for([
    ["join", [Plan]],
    ["attach", [Plan, Up]],
  ] as const)(
    "hears nothing when the %s is refused, and nothing is left",
    async ([at, expected]) => {
      const { asked: methods, requests } = daemon(`member.${at}`);
      const { proxy, ended } = start(requests);
      await until(1);
      proxy.onMessage(tapMessage, tap);
      if (at === "attach") {
        await until(2);
        proxy.onMessage({ kind: "done" }, null);
      }
      await ended;
      expect(sent).toEqual(expected);
      expect(methods.at(-1)).toBe(at === "join" ? "member.join" : "member.disconnect");
    },
  );

  test("may disconnect at any time: its attachment is released", async () => {
    const { asked: methods, requests } = daemon();
    const { proxy, ended } = start(requests);
    await until(1);
    proxy.onMessage(tapMessage, tap);
    await until(2);
    proxy.onGone();
    await ended;
    expect(sent).toEqual([Plan, Up]);
    expect(methods).toEqual(["member.join", "member.disconnect"]);
  });

  test("is ignored when it speaks out of turn", async () => {
    const { asked: methods, requests } = daemon();
    const { proxy, ended } = start(requests);
    await until(1);
    expect(proxy.onMessage({ kind: "done" }, null)).toBe(false);
    expect(proxy.onMessage(tapMessage, null)).toBe(false);
    expect(proxy.onMessage(null, null)).toBe(false);
    proxy.onGone();
    await ended;
    expect(methods).toEqual([]);
    native.close(tap);
  });
});

test("commands that may succeed in part, or need a member's namespace, are not answered", () => {
  expect(isProxied(request)).toBe(true);
  expect(isProxied({ ...request, target: "db" })).toBe(false);
  const names = ["one", "two"];
  expect(isProxied({ action: "remove", names, force: false })).toBe(false);
  const output = { kind: "table" } as const;
  expect(isProxied({ action: "inspect", names, type: "any", output })).toBe(false);
});

describe("a template is evaluated in the daemon", () => {
  const isAnswered = (...args: string[]) => {
    const invocation = parseCommandLine("slipway", args);
    return invocation.kind === "ask daemon" && isProxied(invocation.request);
  };

  test.each(["{{.Name}}", "table {{.ID}}\\t{{.Name}}", "{{.IPAM.Config}} x", "json", "table"])(
    "if it has nothing but a few fields: %s",
    (format) => {
      expect(isAnswered("network", "ls", "--format", format)).toBe(true);
      expect(isAnswered("network", "inspect", "web", "-f", format)).toBe(true);
      expect(isAnswered("ps", "--format", format)).toBe(true);
    },
  );

  test.each([
    "{{range .Containers}}{{.Name}}{{end}}",
    "{{if .Internal}}x{{end}}",
    '{{printf "%999s" .Name}}',
    "{{.Name | json}}",
    "{{json .}}",
    "{{$.Name}}",
    "{{(.Name)}}",
    "{{$x := .Name}}",
    '{{.Label "team"}}',
    "{{.Containers}}".repeat(17),
    `{{.Name}}${"x".repeat(257)}`,
  ])("but not otherwise: %s", (format) => {
    expect(isAnswered("network", "ls", "--format", format)).toBe(false);
    expect(isAnswered("network", "inspect", "web", "-f", format)).toBe(false);
    expect(isAnswered("inspect", "web", "-f", format)).toBe(false);
    expect(isAnswered("ps", "--format", format)).toBe(false);
  });

  test("a filter is not: it may be a regular expression", () => {
    expect(isAnswered("network", "ls", "-f", "name=(a+)+$")).toBe(false);
    expect(isAnswered("ps", "-f", "name=(a+)+$")).toBe(false);
  });
});
