import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const native = fileURLToPath(new URL("..", import.meta.url));

test.each([
  ["SHARED", "launcher/shared/protocol.h", "rpc/launcher-abi.ts"],
  ["STORE", "launcher/supervisor/store.h", "sys/tap-store-abi.ts"],
])("the numbers of %s are in TypeScript what they are in C", (prefix, header, module) => {
  const text = readFileSync(`${native}/../src/${module}`, "utf8");
  expect(text).toBe(execFileSync(`${native}/abi.sh`, [prefix, header], { cwd: native }).toString());
  const declared = readFileSync(`${native}/${header}`, "utf8").matchAll(
    new RegExp(`^\\s+${prefix}_(\\w+) = (-?\\d+)`, "gm"),
  );
  const constants = [...declared].map(([, name, value]) => `export const ${name} = ${value};`);
  expect(constants.length).toBeGreaterThan(6);
  for (const constant of constants) expect(text).toContain(constant);
});

test("the errnos of a namespace without IPv6 come from C as names", () => {
  const text = readFileSync(`${native}/../src/rpc/launcher-abi.ts`, "utf8");
  expect(text).toContain(
    'export const NO_IPV6 = ["EACCES", "EAFNOSUPPORT", "EOPNOTSUPP"] as const;',
  );
});
