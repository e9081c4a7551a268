import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { log, startLog } from "../src/base/log.js";
import { ResolvConf } from "../src/dns/resolv-conf.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Which files may read the wall clock, and why: they report it, or tell it to another host, and nothing waits for it. */
const WALL_CLOCK: Readonly<Record<string, string>> = {
  "src/base/log.ts": "the time of a line",
  "src/cli/commands/ask-daemon.ts": "since when a cluster is cut off, as daemon status prints it",
  "src/client/carry-out.ts": "how long ago a network was created, for --filter until=",
  "src/client/views/members.ts": "how long ago a member came, as ps prints it",
  "src/cluster/networks.ts": "when a network was created",
  "src/cluster/session.ts": "since when the store is away, in its sentence",
  "src/daemon/cluster/flannels.ts": "when a network was created",
  "src/daemon/cluster/overlays.ts": "since when the cluster is in its state",
  "src/daemon/definition.ts": "when a network was created",
  "src/daemon/member.ts": "since when a member is there",
  "src/daemon/report.ts": "when host and none were created, as the reports show it",
  "src/daemon/state/state-file.ts": "the name of a file put aside",
  "src/frames/capture.ts": "the time of a packet, from the start on by the other clock",
  "src/overlay/wireguard/wireguard-tunnel.ts":
    "the timestamps of handshakes, by which the other end knows a new one (src/wireguard/timestamps.ts)",
};

afterEach(() => vi.restoreAllMocks());

function filesWith(pattern: RegExp, glob: string): string[] {
  const files = globSync(glob, { cwd: root }).sort();
  expect(files.length).toBeGreaterThan(20);
  return files.filter((file) => pattern.test(readFileSync(join(root, file), "utf8")));
}

test("only what the log reports uses the wall clock", () => {
  const wall = /\bDate\.now\b|\bnew Date\(\)|\bperformance\.timeOrigin\b/;
  expect(filesWith(wall, "src/**/*.ts")).toEqual(Object.keys(WALL_CLOCK));
});

test("C reads no clock that can be set", () => {
  const settable = /CLOCK_REALTIME|\bgettimeofday *\(|[^a-z_]time *\((NULL|&)|CLOCK_TAI/;
  expect(filesWith(settable, "native/{src,launcher}/**/*.c")).toEqual([]);
  const steady = /CLOCK_MONOTONIC|CLOCK_THREAD_CPUTIME_ID/;
  expect(filesWith(steady, "native/{src,launcher}/**/*.c")).toEqual([
    "native/src/loop/limit.c",
    "native/src/os/process.c",
  ]);
});

/** Each read of the wall clock sets it a year back or forward. */
function leapingClock(): void {
  const year = 365 * 24 * 3600 * 1000;
  let back = false;
  vi.spyOn(Date, "now").mockImplementation(() => {
    back = !back;
    return 1.8e12 + (back ? -year : year);
  });
}

test("setting the clock does not change how often resolv.conf is checked", () => {
  leapingClock();
  const uptime = vi.spyOn(process, "uptime").mockReturnValue(1);
  const read = vi.fn(() => "nameserver 192.0.2.1\n");
  const resolvConf = new ResolvConf("/nonexistent");
  resolvConf.followBy({ read });
  for (let query = 0; query < 50; query += 1) resolvConf.servers;
  expect(read).toHaveBeenCalledTimes(0);
  uptime.mockReturnValue(2.001);
  for (let query = 0; query < 50; query += 1) resolvConf.servers;
  expect(read).toHaveBeenCalledTimes(1);
});

test("setting the clock does not change how many lines are logged per second", () => {
  leapingClock();
  const uptime = vi.spyOn(process, "uptime").mockReturnValue(10);
  const lines: string[] = [];
  const write = (text: string) => lines.push(text) && text.length;
  const settings = { write, writeStderr: write, isFile: true, format: "plain" } as const;
  startLog({ ...settings, level: "info", linesPerSecond: 3 });
  for (let line = 0; line < 10; line += 1) log.info("line %d", line);
  expect(lines).toHaveLength(3);
  uptime.mockReturnValue(11.001);
  log.info("later");
  expect(lines.slice(3)).toEqual([
    "slipway: warning: 7 lines suppressed: more than 3 per second\n",
    "slipway: info: later\n",
  ]);
});
