/**
 * The main use, with real input: an unprivileged program in a fresh namespace fetches 100 MB by name
 * from a web server, through Slipway. Run by `npm run demo`.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { exit } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { httpName, served } from "../test/lab/addresses.ts";
import { Lab } from "../test/lab/lab.ts";
import type { Outcome, Process } from "../test/lab/process.ts";
import { fact, heading, megabytes, Progress, print, rate, styled } from "./terminal.ts";

const size = 100 * 1_000_000;
const timeLimitMs = 50_000;
const url = `http://${httpName}/100MB`;

async function demo(): Promise<boolean> {
  await using lab = await Lab.create();
  const sha256 = await lab.world.http.addFile("100MB", size);
  heading("The world", "a network namespace with servers in it, behind a veth pair");
  fact("web server", served.http, `nginx, called ${httpName}`);
  fact("name server", served.dns, "dnsmasq, the only one that the host knows");
  fact("file", megabytes(size), "random bytes");

  const fetched = join(lab.directory, "fetched");
  const slipway = lab.host.slipway(["run", "--", "sh", "-euc", script(fetched)]);
  await slipway.printed(/^fetching$/m, 10_000);
  heading("The namespace", "as seen from inside; all of it made by `slipway run`");
  showPlan(slipway);

  heading("The transfer", `slipway run -- curl ${url}`);
  const outcome = await watch(slipway, lab.host.stage.outside(fetched));
  const result = facts(outcome.stdout);
  if (outcome.code !== 0) {
    print(styled("red", `  slipway ended with ${outcome.code}: ${outcome.stderr.trim()}`));
    return false;
  }
  const seconds = Number(result.get("seconds"));
  fact("curl says", `${seconds.toFixed(2)} s`, rate(Number(result.get("bytes")), seconds));

  heading("The same bytes?", "sha256 on both sides");
  const arrived = result.get("sha256") ?? "nothing";
  fact("in the world", sha256);
  fact("in the namespace", arrived);
  const equal = arrived === sha256;
  print(`  ${equal ? styled("green", "✓ equal") : styled("red", "✗ different")}`);
  return equal;
}

/** The script that runs in the namespace; each line that it prints is a name and its value. */
function script(fetched: string): string {
  return `
    echo address $(ip -brief -4 address show tap0 | cut -d/ -f1 | tr -s ' ' | cut -d' ' -f3)
    echo mtu $(ip -oneline link show tap0 | sed 's/.* mtu \\([0-9]*\\) .*/\\1/')
    echo gateway $(ip route show default | cut -d' ' -f3)
    echo dns $(sed -n 's/^nameserver //p' /etc/resolv.conf)
    echo resolves $(dig +short ${httpName})
    echo fetching
    curl --silent --show-error --fail --output ${fetched} \\
      --write-out 'seconds %{time_total}\\nbytes %{size_download}\\n' ${url}
    echo sha256 $(sha256sum < ${fetched} | cut -d' ' -f1)
  `;
}

function facts(text: string): Map<string, string> {
  const lines = text.split("\n").map((line) => line.split(" "));
  return new Map(lines.map(([name = "", ...values]) => [name, values.join(" ")]));
}

function showPlan(slipway: Process): void {
  const plan = facts(slipway.stdout);
  const value = (name: string) => plan.get(name) ?? "?";
  const status = readFileSync(`/proc/${slipway.pid}/status`, "utf8");
  const capabilities = /^CapEff:\t(\w+)$/m.exec(status)?.[1];
  const uid = /^Uid:\t(\d+)/m.exec(status)?.[1];
  fact("Slipway runs as", `uid ${uid}`, `effective capabilities ${capabilities}`);
  fact("address", value("address"));
  fact("gateway", value("gateway"));
  fact("name server", value("dns"), `says that ${httpName} is ${value("resolves")}`);
  fact("MTU", value("mtu"));
}

/** Shows the file's growth until the command has ended. */
async function watch(slipway: Process, file: string): Promise<Outcome> {
  const progress = new Progress(size);
  const ended = slipway.ended(timeLimitMs);
  let running = true;
  const stop = () => {
    running = false;
  };
  ended.then(stop, stop);
  while (running && sizeOf(file) < size) {
    progress.show(sizeOf(file));
    await delay(20);
  }
  if (sizeOf(file) === size) progress.finish();
  return ended;
}

/** 0 while the file does not exist. */
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

exit((await demo()) ? 0 : 1);
