import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";

const { SLIPWAY_LAB_PEER: peer } = env;

/** The checkout, or the installation, that holds this file. */
export const root = resolve(fileURLToPath(import.meta.url), "../../..");

/** The Node of the checkout: agents and guests run on it, whatever the machine has. */
export const node = join(root, "node_modules/.bin/node");

/** The command `slipway`. */
export const slipway = join(root, "bin/slipway");

/**
 * The helper that gives guests their network, with slirp4netns's command line: Slipway, or a
 * peer named in the environment, to test the lab and the tests themselves.
 */
export const helper = peer ?? join(root, "bin/slirp4netns");

/** False if a peer replaces Slipway: tests of features that only Slipway has are skipped then. */
export const isSlipway = peer === undefined;

/** Throws an error that says what to do if the product is not built. */
export function requireBuilt(): void {
  for (const path of [helper, node]) {
    if (!existsSync(path)) throw new Error(`${basename(path)} is missing: run scripts/build first`);
  }
}
