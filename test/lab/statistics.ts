import type { Guest } from "./guest.ts";

/** Ends a guest's helper, started with `--stats`; returns the figures it printed, by name. */
export async function finalFigures(guest: Guest): Promise<ReadonlyMap<string, number>> {
  guest.helper.kill("SIGTERM");
  const { stderr } = await guest.helper.ended(10_000);
  const lines = stderr.matchAll(/^\S+: ([a-z -]+) (\d+)$/gm);
  return new Map([...lines].map(([, name, value]) => [name, Number(value)]));
}
