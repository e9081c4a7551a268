const CHECKOUT = fileURLToPath(new URL("../", import.meta.url));

/** Where a run took place: figures mean nothing without it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Helper } from "./helpers/helper.ts";
import { unprivilegedIdentity } from "./launch.ts";
import type { HelperRecord } from "./record.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
  readonly virtual: boolean;
  readonly distribution: string;
  readonly kernel: string;
  readonly node: string;
  readonly iperf3: string;
  /** Commit of this tree, with "+" if modified; null outside a checkout. */
  readonly commit: string | null;
  /** Of the host, and so of iperf3's server. */
  readonly congestion: string;
  readonly tcpReceiveMemory: string;
  readonly tcpSendMemory: string;
  /** One-minute load average before the run. */
  readonly load: number;
}

const SYSCTL = "/proc/sys/net/ipv4";

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memory: totalmem(),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(readFileSync("/proc/cpuinfo", "utf8")),
    distribution: distribution(),
    kernel: release(),
    node: process.version,
    iperf3: firstLine("iperf3", ["--version"]) ?? "not installed",
    commit: commit(),
    congestion: read(`${SYSCTL}/tcp_congestion_control`),
    tcpReceiveMemory: read(`${SYSCTL}/tcp_rmem`),
    tcpSendMemory: read(`${SYSCTL}/tcp_wmem`),
    load: loadavg()[0] ?? 0,
  };
}

/** Congestion controls that a namespace may choose. */
export function allowedCongestionControls(): string[] {
  return read(`${SYSCTL}/tcp_allowed_congestion_control`).split(" ");
}

/**
 * Debian's pasta does not know its own version: the package's is reported, too.
 * @throws RangeError if the user that will run the helper cannot run it.
 */
export function describeHelper(helper: Helper): HelperRecord {
  const { name, path, version, versionOption = "--version" } = helper;
  if (version !== undefined) return { name, path: basename(path), version };
  const identity = unprivilegedIdentity();
  // Called as slirp4netns, Slipway prints the version of that.
  const program = name === "slipway" ? join(dirname(path), "slipway") : path;
  const said = firstLine(program, [versionOption], identity ?? {});
  if (said === null) {
    const who = identity === null ? "you" : `uid ${identity.uid}`;
    throw new RangeError(`${path} cannot be run by ${who}: may others enter its directory?`);
  }
  const owner = firstLine("dpkg-query", ["--search", path])?.split(":")[0];
  const packaged = owner === undefined ? null : firstLine("dpkg-query", ["--show", owner]);
  return {
    name,
    // Our own by its path in the checkout: the checkout's location stays private.
    path: path.replace(CHECKOUT, ""),
    version: packaged === null ? said : `${said} (${packaged.replace("\t", " ")})`,
  };
}

function distribution(): string {
  const match = /^PRETTY_NAME="?([^"\n]*)/m.exec(read("/etc/os-release"));
  return match?.[1] ?? "unknown";
}

function commit(): string | null {
  const hash = firstLine("git", ["rev-parse", "--short", "HEAD"]);
  if (hash === null) return null;
  const changes = firstLine("git", ["status", "--porcelain", "--untracked-files=no"]);
  return changes === "" ? hash : `${hash}+`;
}

function read(path: string): string {
  return readFileSync(path, "utf8").trim();
}

/** Standard output, run in the tree's directory; null if it cannot be run or fails. */
function firstLine(
  program: string,
  argv: readonly string[],
  identity: { uid?: number; gid?: number } = {},
): string | null {
  try {
    const output = execFileSync(program, argv, {
      ...identity,
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return output.split("\n")[0] ?? "";
  } catch {
    return null;
  }
}
