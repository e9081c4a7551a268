import { execFileSync } from "node:child_process";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { Lab } from "../lab/lab.ts";
import { node, root } from "../lab/product.ts";

/**
 * The product with the addon of native/build.sh --faults, for GuestOptions.helper.
 * @param environment settings of native/faults/faults.c
 */
export async function faultyHelper(
  lab: Lab,
  environment: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  execFileSync(join(root, "native/build.sh"), ["--faults"], { stdio: "ignore" });
  const { stage } = lab.host;
  const directory = join(lab.directory, "faults");
  const outside = stage.outside(directory);
  await cp(join(root, "dist"), outside, { recursive: true });
  await cp(join(root, "native/build/tuntap2-faults.node"), join(outside, "build/tuntap2.node"));
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return ["env", ...variables, stage.inside(node), join(directory, "slipway.cjs"), "slirp4netns"];
}
