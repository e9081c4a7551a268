import { beforeEach, expect, test } from "vitest";
import { Address } from "../../../src/base/address.js";
import type { Direction, PestoChange } from "../../../src/commandline/pasta/pesto.js";
import { portSpecifier } from "../../../src/commandline/pasta/port-specifier.js";
import { Forwarding } from "../../../src/host/ports/forwarded.js";
import { answerPesto } from "../../../src/host/ports/pesto.js";
import type { PublishedPort, PublishedRule } from "../../../src/nat/published-port.js";
import { ForwardTable } from "../../../src/publish/forward-table.js";
import { Errno } from "../../../src/sys/constants.js";

const ANY = Address.ofIpv4Word(0);

const refused = new Map<number, number>();
const rules = new Map<number, PublishedRule>();
let forwarding: Forwarding;
let lastId = 0;

beforeEach(() => {
  refused.clear();
  rules.clear();
  const forwards = {
    rules: [],
    add: (port: PublishedPort) => {
      const errno = refused.get(port.hostPort);
      if (errno !== undefined) return -errno;
      lastId += 1;
      rules.set(lastId, { ...port, id: lastId });
      return lastId;
    },
    remove: (id: number) => rules.delete(id),
  };
  const inbound = new ForwardTable(forwards, ({ protocol, port, target }) => [
    [{ protocol, host: ANY, hostPort: port, guest: ANY, guestPort: target }],
  ]);
  forwarding = new Forwarding(inbound, null);
});

function changes(
  action: "add" | "delete",
  specifier: string,
  direction: Direction = "inbound",
): readonly PestoChange[] {
  const option = direction === "inbound" ? "-t" : "-T";
  return portSpecifier(option, direction, specifier).map((ports) => ({
    action,
    protocol: "tcp",
    direction,
    ports,
  }));
}

function carryOut(...all: readonly (readonly PestoChange[])[]): string | null {
  for (const _step of forwarding.change(all.flat()));
  return forwarding.takeLeftOut();
}

function ports(): readonly number[] {
  return [...rules.values()].map(({ hostPort }) => hostPort).toSorted((a, b) => a - b);
}

/** @param args of pesto, without its path */
function pesto(...args: readonly string[]): string {
  return [...answerPesto(forwarding, [...args, "/run/pasta.sock"])].join("");
}

test("a failure undoes what was done before, and is worded as pasta words it", () => {
  carryOut(changes("add", "8080"));
  refused.set(8_082, Errno.EADDRINUSE);
  const both = [changes("delete", "8080"), changes("add", "8081"), changes("add", "8082:80")];
  expect(() => carryOut(...both)).toThrow(
    "Failed to bind port 8082 (Address already in use) for option '-t 8082:80'",
  );
  expect(ports()).toEqual([8_080]);
});

test("whoever closes the generator before its end undoes it, too", () => {
  const steps = forwarding.change(changes("add", "2000-3000"));
  steps.next();
  expect(rules.size).toBe(64);
  expect(() => carryOut(changes("add", "80"))).toThrow("try again");
  steps.return(undefined);
  expect(rules.size).toBe(0);
  carryOut(changes("add", "80"));
  expect(ports()).toEqual([80]);
});

test("of a range, ports below 1024 that are not permitted are left out by one line", () => {
  for (let port = 1; port < 1_024; port += 1) refused.set(port, Errno.EACCES);
  expect(carryOut(changes("add", "1020-1026"))).toBe(
    "not forwarded for option '-t 1020-1026': ports 1020-1023 (Permission denied)",
  );
  expect(ports()).toEqual([1_024, 1_025, 1_026]);
  expect(() => carryOut(changes("add", "1023"))).toThrow("port 1023 (Permission denied)");
  expect(() => carryOut(changes("add", "80-81"))).toThrow("any port (Permission denied)");
});

test("all: what can be had, but no ephemeral ports; a limit of the process is an error", () => {
  refused.set(8_080, Errno.EADDRINUSE);
  expect(carryOut(changes("add", "~9000-9100"))).toContain("ports 8080 (Address already in use)");
  expect(rules.size).toBeGreaterThan(10_000);
  expect(ports().filter((port) => port === 8_080 || (port >= 9_000 && port <= 9_100))).toEqual([]);
  carryOut([{ action: "clear", direction: "inbound" }]);
  refused.set(9_000, Errno.EMFILE);
  expect(() => carryOut(changes("add", "all"))).toThrow(
    "Failed to bind port 9000 (Too many open files) for option '-t all': raise the limit (ulimit -n)",
  );
  expect(rules.size).toBe(0);
});

test("auto is an entry: added once, deleted, cleared, and undone with the rest", () => {
  const entries = forwarding.automatic.inbound.tcp;
  carryOut(changes("add", "auto"), changes("add", "auto"));
  expect(entries).toHaveLength(1);
  carryOut(changes("delete", "auto"));
  expect(entries).toEqual([]);
  refused.set(80, Errno.EADDRINUSE);
  expect(() => carryOut(changes("add", "auto"), changes("add", "80"))).toThrow("port 80");
  expect(entries).toEqual([]);
});

test("host ports need a namespace", () => {
  expect(() => carryOut(changes("add", "80", "outbound"))).toThrow(
    "'-T 80' needs a network namespace",
  );
});

test("pesto's answer is its status and what it prints", () => {
  expect(
    pesto("--add", "-t", "192.0.2.1/80:8080", "-u", "[2001:db8::1]/53", "-t", "%eth0/81"),
  ).toBe("0");
  expect(pesto()).toBe("0-t 192.0.2.1/80:8080\n-t %eth0/81\n-u [2001:db8::1]/53\n");
  expect(pesto("--delete", "-t", "192.0.2.1/80", "-t", "99")).toBe("0");
  expect(pesto("--clear", "HOST", "--show")).toBe("0-t %eth0/81\n-u [2001:db8::1]/53\nnow:\n");
  expect(pesto("--add", "-t", "x")).toMatch(/^1Invalid port specifier x/);
  expect(pesto("--nonsense")).toMatch(/^1.*nonsense/);
});
