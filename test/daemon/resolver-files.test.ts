import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolverFiles } from "../../src/daemon/resolver-files.ts";

let root: string;
let file: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "resolver-")));
  mkdirSync(join(root, "etc"));
  file = join(root, "etc/resolv.conf");
});
afterEach(() => rmSync(root, { recursive: true }));

test("the directories of resolv.conf and of resolvers are readable, and none of users", () => {
  const without = resolverFiles(file);
  expect(without[0]).toBe(join(root, "etc"));
  expect(without).toContain("/run/systemd/resolve");
  for (const each of ["/", "/run", "/run/user", "/tmp"]) expect(without).not.toContain(each);
});

test("only the file itself is readable elsewhere, through links, too", () => {
  writeFileSync(join(root, "own"), "nameserver 192.0.2.1\n");
  symlinkSync("../own", join(root, "etc/between"));
  symlinkSync("between", file);
  expect(resolverFiles(file).slice(5)).toEqual([join(root, "own")]);
});
