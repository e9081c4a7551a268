import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** The bench's own programs, compiled. */
export interface Programs {
  readonly guard: string;
  readonly load: string;
  /** Measures how long a program runs. */
  readonly timed: string;
  /** A wire with delay, loss and reordering (test/lab/wire.c). */
  readonly wire: string;
}

const SOURCES = join(import.meta.dirname, "programs");
const LOAD_SOURCES = [
  "client.c",
  "server.c",
  "datagrams.c",
  "net.c",
  "reach.c",
  "requests.c",
  "samples.c",
];
const CFLAGS = ["-std=c17", "-O2", "-Wall", "-Wextra", "-Werror"];

/**
 * Compiles them into a directory. That takes a fifth of a second, so there is no cache.
 * @throws Error with the compiler's message if there is no compiler or it fails.
 */
export function compilePrograms(directory: string): Programs {
  return {
    guard: compile(directory, "guard", ["guard.c"]),
    load: compile(directory, "load", ["load.c", ...LOAD_SOURCES]),
    timed: compile(directory, "timed", ["timed.c"]),
    wire: compile(directory, "wire", ["../../test/lab/wire.c"]),
  };
}

function compile(directory: string, name: string, files: readonly string[]): string {
  const output = join(directory, name);
  execFileSync("cc", [...CFLAGS, "-o", output, ...files.map((file) => join(SOURCES, file))]);
  return output;
}
