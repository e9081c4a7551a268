/** Subordinate ids for the unprivileged user whom root measures as: RootlessKit does not start without. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { unprivilegedIdentity } from "./launch.ts";

const FILES = ["/etc/subuid", "/etc/subgid"] as const;
/** Says that this process has them. */
const MARK = "SLIPWAY_BENCH_SUBORDINATE_IDS";
const RANGE = "1000000:65536";
/** By name: RootlessKit 1.1 takes a line with a number twice. */
const USER = "nobody";

/**
 * Goes on in a process with mounts of its own, in which the two files have a line for that user; the
 * machine's are left alone. Where there are none, or one has a line, or the user measures as himself,
 * nothing is done.
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
