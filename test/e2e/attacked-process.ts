import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { node, root } from "../lab/product.ts";
import { expect } from "./fixture.ts";

/** A copy of the product with the attacks in it (test/attack/README.md), as the lab's user sees it. */
export function installAttack(lab: Lab, name: string): string {
  const copy = join(lab.directory, name);
  const outside = lab.host.stage.outside(copy);
  mkdirSync(join(outside, "bin"), { recursive: true });
  cpSync(join(root, "bin/slipway"), join(outside, "bin/slipway"));
  for (const name of ["slirp4netns", "pasta"]) symlinkSync("slipway", join(outside, "bin", name));
  cpSync(join(root, "dist"), join(outside, "dist"), { recursive: true });
  cpSync(join(root, "dist/slipway.cjs"), join(outside, "dist/entry.cjs"));
  cpSync(join(root, "test/attack/start.cjs"), join(outside, "dist/slipway.cjs"));
  const flags = "-Wall -Wextra -Werror -std=gnu17 -O1 -fPIC -shared -D_GNU_SOURCE -DNAPI_VERSION=8";
  execFileSync("cc", [
    ...flags.split(" "),
    `-I${join(root, "node_modules/node-api-headers/include")}`,
    ...["-o", join(outside, "dist/build/attack.node"), join(root, "test/attack/attack.c")],
  ]);
  return copy;
}

/**
 * The beginning of a command line that starts a program of such a copy.
 * @param victim another process of the same user
 * @param lethal number of the attempt that it makes on SIGXFSZ
 */
export function attacked(
  lab: Lab,
  copy: string,
  program: "slirp4netns" | "pasta",
  victim: Process,
  lethal = 0,
): readonly string[] {
  const variables = {
    SLIPWAY_NODE: lab.host.stage.inside(node),
    ATTACK_VICTIM: `${victim.pid}`,
    ATTACK_LETHAL: `${lethal}`,
  };
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return ["env", ...words, join(copy, "bin", program)];
}

/** The result of an attempt, as attack.c reports it. */
function outcomeOf(result: number): string {
  switch (result) {
    case 0:
      return "let through";
    case 1: // EPERM, the filter's own answer
      return "refused";
    case -1:
      return "not tried";
    case -2:
      return "faulted";
    default:
      return `errno ${result}`;
  }
}

/** No attacks: they show that the test distinguishes each kind of outcome from a refusal. */
const controls: Readonly<Record<string, string>> = {
  control_allowed: "let through",
  control_privileged: "faulted",
  control_illegal: "faulted",
};

/**
 * Waits for the results of the attacks of a process, and expects each to have been stopped on each of its threads.
 * @returns a line for each thread
 */
export async function expectStopped(
  attacker: Process,
  threads: readonly number[],
): Promise<readonly string[]> {
  await attacker.printed(/attacks: .*\n/);
  const [, json = ""] = /attacks: (.*)\n/.exec(attacker.stderr) ?? [];
  const results: Record<string, Record<string, number>> = JSON.parse(json);
  expect(Object.keys(results).map(Number).sort()).toEqual([...threads].sort());
  return Object.entries(results).map(([thread, attempts]) => {
    const outcomes = Object.entries(attempts).map(
      ([name, result]) => [name, outcomeOf(result)] as const,
    );
    const isControl = ([name]: readonly [string, string]) => name in controls;
    expect(Object.fromEntries(outcomes.filter(isControl)), `thread ${thread}`).toEqual(controls);
    const attacks = outcomes.filter((each) => !isControl(each));
    // Where the kernel or the processor has no such entry at all, the attempt faults: int 0x80.
    const isStopped = (outcome: string) => outcome === "refused" || outcome === "faulted";
    const others = attacks.filter(([, outcome]) => !isStopped(outcome));
    expect(others, `thread ${thread}`).toEqual([]);
    const faulted = attacks.filter(([, outcome]) => outcome === "faulted").map(([name]) => name);
    return `thread ${thread}: ${attacks.length} attacks, of which faulted: ${faulted}`;
  });
}
