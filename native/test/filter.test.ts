import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("../syscalls.sh", import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "syscalls-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The rows that sources with these texts give. */
function gather(...texts: string[]) {
  const files = texts.map((text, index) => {
    const file = join(directory, `${index}.c`);
    writeFileSync(file, text);
    return file;
  });
  return spawnSync(script, files, { encoding: "utf8" });
}

/** The rows themselves, without the preprocessor's lines. */
function rowsOf(...texts: string[]): string[] {
  return gather(...texts)
    .stdout.split("\n")
    .filter((line) => line.startsWith("{"));
}

test("rows come from the comments of all sources, each once; those without conditions come first", () => {
  const rows = rowsOf(
    "/* #syscalls node: ioctl(1=FIONBIO) read */ int x;",
    " * #syscalls agent: read\n// #syscalls node: read write\nno #syscalls: here",
  );
  expect(rows).toEqual([
    "{FILTER_NODE, __NR_read, 0, {{0}}},",
    "{FILTER_AGENT, __NR_read, 0, {{0}}},",
    "{FILTER_NODE, __NR_write, 0, {{0}}},",
    "{FILTER_NODE, __NR_ioctl, 1, {{1, false, UINT32_MAX, FIONBIO}, }},",
  ]);
});

test("conditions: several, with masks, and the process's own number", () => {
  const [row] = rowsOf("#syscalls run: socket(0=AF_INET;1&SOCK_TYPE=SOCK_STREAM;2=@pid)");
  expect(row).toBe(
    "{FILTER_RUN, __NR_socket, 3, {{0, false, UINT32_MAX, AF_INET}, {1, false, SOCK_TYPE, SOCK_STREAM}, {2, true, UINT32_MAX, 0}, }},",
  );
});

test.each(["open(x)", "open(7=1)", "open(1=)", "open(1=A", "open(1=A;;2=B)"])(
  "%s is not understood, and fails the build",
  (item) => {
    const { status, stderr } = gather(`#syscalls node: ${item}`);
    expect(status).not.toBe(0);
    expect(stderr).toContain(`not understood: ${item}`);
  },
);

test("a call that does not exist fails the build", () => {
  const { stdout } = gather("#syscalls node: raed");
  const program = `#include <sys/syscall.h>\nint rows[] = {\n${stdout}0};\n`;
  const { stderr } = spawnSync("cc", ["-E", "-"], { input: program, encoding: "utf8" });
  if (process.arch === "x64") expect(stderr).toContain("no system call is named raed");
});
