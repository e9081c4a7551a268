import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Helper, NotAvailable, type RunningHelper } from "./helper.ts";

/** A program with pasta's command line, which is started as podman does it (bench/pasta) and takes part in nothing else. */
export class PodmansPasta implements Helper {
  readonly name: string;
  readonly part = "pasta";
  readonly command: readonly string[];
  /** Whether the daemon of Slipway's shared mode serves its guests. */
  readonly isShared: boolean;
  readonly version?: string;

  constructor(
    name: string,
    command: readonly string[],
    { isShared = false, version }: { isShared?: boolean; version?: string } = {},
  ) {
    this.name = name;
    this.command = command;
    this.isShared = isShared;
    if (version !== undefined) this.version = version;
  }

  get path(): string {
    return this.command.at(-1) ?? "";
  }

  async start(): Promise<RunningHelper> {
    throw new NotAvailable("measured with podman's options only");
  }
}

/** Slipway in the role of pasta. */
export const SLIPWAY_PASTA = resolve(import.meta.dirname, "../../bin/pasta");
/** The same, with guests that the daemon serves. */
export const SHARED = "slipway-shared";
/** The real one. */
export const REAL = "pasta-13";

const DEBIAN13 = resolve(import.meta.dirname, "../../scripts/debian13");

/**
 * The real pasta of the root that scripts/debian13 has made; null without a root. It is copied to where every user can
 * run it, with its C library, which is newer than that of older distributions.
 */
export function realPasta(directory: string): PodmansPasta | null {
  const { status, stdout } = spawnSync(DEBIAN13, ["--path"], { encoding: "utf8" });
  if (status !== 0) return null;
  const root = stdout.trim();
  const [loader] = globSync("usr/lib/*/ld-linux-*", { cwd: root });
  const [library] = globSync("usr/lib/*/libc.so.6", { cwd: root });
  if (loader === undefined || library === undefined) return null;
  const place = join(directory, "debian13");
  mkdirSync(place, { recursive: true });
  const [program, ...others] = [fastest(root), loader, library].map((file) => {
    const copy = join(place, basename(file));
    copyFileSync(join(root, file), copy);
    chmodSync(copy, 0o755);
    return copy;
  });
  const show = ["--admindir", join(root, "var/lib/dpkg"), "--show", "passt"];
  const version = execFileSync("dpkg-query", show, { encoding: "utf8" }).replace(/\s+/, " ");
  const command = [`${others[0]}`, "--library-path", place, `${program}`];
  return new PodmansPasta(REAL, command, { version });
}

/** The build that pasta would choose itself; it does not find it when the loader is the program. */
function fastest(root: string): string {
  const avx2 = "usr/bin/pasta.avx2";
  const canRun = /^flags\s*:.*\bavx2\b/m.test(readFileSync("/proc/cpuinfo", "utf8"));
  return canRun && existsSync(join(root, avx2)) ? avx2 : "usr/bin/pasta";
}
