import type { Lab } from "../lab/lab.ts";

const STACK_MEMORY = 256 * 1024 * 1024;
const BLOCK = 65_536;

/** Where the memories of a process's stacks begin. */
export async function stackMemories(lab: Lab, pid: number): Promise<readonly number[]> {
  return (await lab.host.root.output(["cat", `/proc/${pid}/maps`]))
    .split("\n")
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *$/.exec(line))
    .map((match) => [Number(`0x${match?.[1]}`), Number(`0x${match?.[2]}`)])
    .filter(([start, end]) => end - start === STACK_MEMORY)
    .map(([start]) => start);
}

/** Overwrites the beginning of stacks' memories in a running process: their static data. */
export async function corruptStacks(
  lab: Lab,
  pid: number,
  memories: readonly number[],
): Promise<void> {
  for (const start of memories) {
    const to = [`of=/proc/${pid}/mem`, `seek=${start / BLOCK}`, "conv=notrunc"];
    // It may end as soon as it uses the first of them.
    await lab.host.root.shell(`
      tr '\\0' '\\377' </dev/zero | dd bs=${BLOCK} count=12 iflag=fullblock ${to.join(" ")} status=none ||
        ! test -e /proc/${pid}/fd/0
    `);
  }
}
