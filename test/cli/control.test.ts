import { describe, expect, test } from "vitest";
import { formatBytes, formatDuration, formatMilliseconds } from "../../src/cli/control/units.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [9_949, "9.9 kB"],
  [9_951, "10 kB"],
  [999_600, "1.0 MB"],
  [1_234_567_890, "1.2 GB"],
])("%i bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.9, "0s"],
  [59, "59s"],
  [61, "1m1s"],
  [3_600, "1h0m"],
  [11_530, "3h12m"],
  [90_000, "1d1h"],
])("%d seconds are %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test("round-trip times are in milliseconds", () => {
  expect([420, 12_345].map(formatMilliseconds)).toEqual(["0.42 ms", "12 ms"]);
});

describe("commands that query a running network", () => {
  const requestOf = (...args: string[]): unknown => {
    const invocation = parseCommandLine("slipway", args);
    return invocation.kind === "control" ? [invocation.options, invocation.request] : invocation;
  };
  const usual = { socket: null, json: false };

  test.each<[string, object, object]>([
    ["status", usual, { kind: "status" }],
    ["status --json -a 42", { socket: "42", json: true }, { kind: "status" }],
    ["flows", usual, { kind: "flows", watch: null }],
    ["flows --watch", usual, { kind: "flows", watch: 1 }],
    ["flows -w 0.5 --api-socket /x", { ...usual, socket: "/x" }, { kind: "flows", watch: 0.5 }],
    ["port ls", usual, { kind: "port-ls" }],
    [
      "port add 8080:80",
      usual,
      { kind: "port-add", ports: [{ protocol: "tcp", hostPort: 8080, guestPort: 80, count: 1 }] },
    ],
    [
      "port rm --kill 8000-8010/udp",
      usual,
      { kind: "port-rm", kill: true, places: [{ protocol: "udp", hostPort: 8000, count: 11 }] },
    ],
  ])("%s", (line, options, request) => {
    expect(requestOf(...line.split(" "))).toMatchObject([options, request]);
  });

  test.each([
    ["port add", /missing required argument 'ports'/],
    ["port add 8080:80:80:80", /^port "8080:80:80:80": there are too many colons: write it like/],
    ["port rm 0", /^port "0": there is no port 0/],
    ["port rm 127.0.0.256:80", /^port "127.0.0.256:80": "127.0.0.256" is not an address/],
    ["flows --watch 0", /^--watch is "0": give seconds/],
    ["status more", /too many arguments/],
  ])("%s is refused", (line, message) => {
    expect(() => requestOf(...line.split(" "))).toThrow(message);
  });
});
