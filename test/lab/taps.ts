import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { root } from "./product.ts";

/** The program that makes links as other tools do; built at first use. */
export async function taps({ host }: Pick<Lab, "host">): Promise<string> {
  const program = join(host.stage.directory, "taps");
  const source = host.stage.inside(join(root, "test/lab/taps.c"));
  await host.root.shell(`[ -e ${program} ] || gcc -std=gnu17 -O2 -Wall -o ${program} ${source}`);
  return program;
}
