import { execFileSync } from "node:child_process";
import { arch } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** The addon and the launcher as they are shipped, and not another build that is under test. */
const files = ["../build/tuntap2.node", "../../bin/slipway"] as const;

function tell(program: string, options: string, file: string): string {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const limits = { encoding: "utf8", maxBuffer: 64 << 20 } as const;
  return execFileSync(program, [options, path], limits);
}

describe.each(files)("%s", (file) => {
  test("has no memory that is both writable and executable, and no writable table", () => {
    const headers = tell("readelf", "-lW", file);
    expect(headers).toMatch(/^ *GNU_STACK .* RW +0x/m);
    expect(headers).toMatch(/^ *GNU_RELRO /m);
    expect(headers).not.toMatch(/^ *LOAD .* RWE /m);
    expect(tell("readelf", "-dW", file)).toMatch(/BIND_NOW|FLAGS.* NOW/);
  });

  test("is position-independent", () => {
    expect(tell("readelf", "-hW", file)).toMatch(/^ *Type: +DYN /m);
  });

  test("checks the bounds of its buffers", () => {
    const symbols = tell("nm", file.endsWith(".node") ? "-D" : "-a", file);
    expect(symbols).toMatch(/__stack_chk_fail/);
    expect(symbols).toMatch(/__memcpy_chk/);
    expect(symbols).toMatch(/__snprintf_chk/);
  });

  test.runIf(arch() === "x64")("has landing pads for indirect jumps", () => {
    expect(tell("objdump", "-d", file)).toMatch(
      /<keeper_run>:\n.*endbr64|<napi_register_module_v1>:\n.*endbr64/,
    );
  });
});

test("the launcher needs neither loader nor libraries", () => {
  expect(tell("readelf", "-lW", "../../bin/slipway")).not.toMatch(/INTERP/);
  expect(tell("readelf", "-dW", "../../bin/slipway")).not.toMatch(/NEEDED/);
});
