/** What all measurements of a run share: compiled programs, and a directory removed after the run. */
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Launcher, unprivilegedIdentity } from "./launch.ts";
import { findProgram } from "./path.ts";
import { compilePrograms, type Programs } from "./programs.ts";

export interface Workshop {
  readonly launcher: Launcher;
  readonly programs: Programs;
  /** Where the unprivileged user may create sockets. */
  readonly directory: string;
}

/** Programs that the bench runs besides the helpers, and their Debian packages. */
const TOOLS = [
  ["iperf3", "iperf3"],
  ["unshare", "util-linux"],
  ["nsenter", "util-linux"],
  ["cc", "gcc libc6-dev"],
] as const;

/** @throws RangeError if a tool is missing. */
export function openWorkshop(): Workshop {
  requireTools();
  const directory = makeWorkDirectory();
  const programs = compilePrograms(directory);
  return { launcher: new Launcher(programs.guard), programs, directory };
}

function requireTools(): void {
  const missing = TOOLS.filter(([tool]) => findProgram(tool) === null);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
  const tools = missing.map(([tool]) => tool).join(", ");
  throw new RangeError(`${tools} missing: apt-get install ${packages}`);
}

/** Removed when the bench ends, except by SIGKILL. */
function makeWorkDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "slipway-bench-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(130));
  }
  const identity = unprivilegedIdentity();
  if (identity !== null) chownSync(directory, identity.uid, identity.gid);
  chmodSync(directory, 0o755);
  return directory;
}
