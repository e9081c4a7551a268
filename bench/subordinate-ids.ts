/** Subordinate ids for the unprivileged user of a run as root: RootlessKit does not start without them. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { unprivilegedIdentity } from "./launch.ts";

const FILES = ["/etc/subuid", "/etc/subgid"] as const;
/** Tells the new process that it has them. */
const MARK = "SLIPWAY_BENCH_SUBORDINATE_IDS";
const RANGE = "1000000:65536";
/** By name: RootlessKit 1.1 counts a line with a number twice. */
const USER = "nobody";

/**
 * Continues in a process with its own mounts, in which the two files have a line for that user; the
 * machine's files are not changed. Does nothing if there are no such files, one has a line already, or
 * the user measures as himself.
 */
export function ensureSubordinateIds(): void {
  if (unprivilegedIdentity() === null || process.env[MARK] !== undefined) return;
  if (FILES.some((file) => !existsSync(file) || hasLine(file))) return;
  const cover = FILES.map((file) => `cover ${file}`).join("\n");
  const script = `
    cover() {
      with=$(mktemp)
      echo '${USER}:${RANGE}' | cat $1 - > $with
      chmod 644 $with
      mount --bind $with $1
      rm $with
    }
    ${cover}
    exec "$@"
  `;
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync("unshare", ["--mount", "sh", "-euc", script, "sh", ...command], {
    stdio: "inherit",
    env: { ...process.env, [MARK]: "1" },
  });
  process.exit(status ?? 1);
}

function hasLine(file: string): boolean {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.some((line) => line.startsWith(`${USER}:`));
}
