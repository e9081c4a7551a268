import { expect, test } from "vitest";
import { UNSPECIFIED } from "../../src/base/address.ts";
import { readPublish } from "../../src/commandline/publish-option.ts";
import { notationOf } from "../../src/host/ports/notation.ts";
import type { PublishedPort } from "../../src/nat/published-port.ts";

const guest = UNSPECIFIED[4].plus(1);

/** The rules of a --publish, as publishPorts() makes them. */
function rulesOf(text: string): PublishedPort[] {
  const option = readPublish(text, "--publish");
  const { protocol, host, hostPort, guestPort, count } = option;
  const hosts = host === null ? [UNSPECIFIED[4], UNSPECIFIED[6]] : [host];
  return Array.from({ length: count }, (_, index) =>
    hosts.map((each) => ({
      protocol,
      host: each,
      hostPort: hostPort + index,
      guest,
      guestPort: guestPort + index,
    })),
  ).flat();
}

test.each([
  [],
  ["8080:80/tcp"],
  ["127.0.0.1:8000-8010:9000-9010/udp", "[::1]:53:53/udp"],
  ["8080:80/tcp", "8081:80/tcp", "8080:80/udp"],
  ["0.0.0.0:1000:80/tcp", "[::]:1001:80/tcp"],
])("published ports are written as they were given: %s %s %s", (...texts) => {
  expect([...notationOf(texts.flatMap(rulesOf))].sort()).toEqual([...texts].sort());
});

test("ports beside each other are a range, and both families are one text", () => {
  const ports = ["8000:8000", "8002:8002", "8001:8001", "[::]:9000:9000", "0.0.0.0:9000:9000"];
  expect(notationOf(ports.flatMap(rulesOf))).toEqual(["8000-8002:8000-8002/tcp", "9000:9000/tcp"]);
});

test("a range whose middle is gone is two", () => {
  const rules = rulesOf("8000-8004:80-84").filter(({ hostPort }) => hostPort !== 8002);
  expect(notationOf(rules)).toEqual(["8000-8001:80-81/tcp", "8003-8004:83-84/tcp"]);
});

test("one family of a range that is gone leaves the other", () => {
  const rules = rulesOf("8000-8001:80-81").filter(({ host }) => host.family === 6);
  expect(notationOf(rules)).toEqual(["[::]:8000-8001:80-81/tcp"]);
});
