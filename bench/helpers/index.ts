/** The helpers of a run, by name. */
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { findProgram } from "../path.ts";
import type { Helper } from "./helper.ts";
import { Pasta } from "./pasta.ts";
import { PodmansPasta, REAL, realPasta, SHARED, SLIPWAY_PASTA } from "./podmans-pasta.ts";
import { RootlessKit } from "./rootlesskit.ts";
import { Slirp4netns } from "./slirp4netns.ts";
import { Underlay, Vxlan, WireguardGo } from "./tunnel.ts";
import { Veth } from "./veth.ts";

/** The helper that is compared with the others. */
export const SUBJECT = "slipway";
/** No helper: the host's loopback. */
export const LOOPBACK = "loopback";

const SUBJECT_PATH = resolve(import.meta.dirname, "../../bin/slirp4netns");

export interface HelperSet {
  readonly helpers: readonly Helper[];
  /** Names of helpers that are not installed or not built. */
  readonly missing: readonly string[];
}

/** Slipway, slirp4netns, pasta and RootlessKit if installed, and the peers of the command line. */
export function findHelpers(
  peers: ReadonlyMap<string, string>,
  socketDirectory: string,
): HelperSet {
  const places = new Map<string, string | null>([
    [SUBJECT, existsSync(SUBJECT_PATH) ? SUBJECT_PATH : null],
    ["slirp4netns", findProgram("slirp4netns")],
    ["pasta", findProgram("pasta")],
    ["rootlesskit", findProgram("rootlesskit")],
    [Veth.OFFLOADED, findProgram("ethtool")],
    [Veth.PLAIN, findProgram("ethtool")],
    [Underlay.NAME, findProgram("ip")],
    [Vxlan.NAME, findProgram("ip")],
    [WireguardGo.NAME, findProgram("wg") === null ? null : findProgram("wireguard-go")],
    ...peers,
  ]);
  const helpers: Helper[] = [];
  const missing: string[] = [];
  for (const [name, path] of places) {
    if (path === null) missing.push(name);
    else helpers.push(makeHelper(name, path, socketDirectory));
  }
  const real = realPasta(socketDirectory);
  if (real === null) missing.push(REAL);
  else helpers.push(real);
  if (existsSync(SLIPWAY_PASTA)) {
    helpers.push(new PodmansPasta(SHARED, [SLIPWAY_PASTA], { isShared: true }));
  }
  return { helpers, missing };
}

/** The program's file name decides which command line it gets. */
function makeHelper(name: string, path: string, socketDirectory: string): Helper {
  if (basename(path) === "ethtool") return new Veth(name, path);
  if (name === Underlay.NAME) return new Underlay(path);
  if (name === Vxlan.NAME) return new Vxlan(path);
  if (name === WireguardGo.NAME) return new WireguardGo(path);
  if (basename(path).startsWith("pasta")) return new Pasta(name, path);
  if (basename(path).startsWith("rootlesskit")) return new RootlessKit(name, path, socketDirectory);
  return new Slirp4netns(name, path, socketDirectory);
}
