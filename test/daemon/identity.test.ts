import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readIdentity } from "../../src/daemon/cluster/identity.ts";

let directory: string;
const file = (name: string) => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "identity-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a host is who it was, and its files are the user's alone", () => {
  const first = readIdentity(directory);
  expect(first.id).toMatch(/^[0-9a-f]{64}$/);
  expect(readIdentity(directory)).toEqual(first);
  for (const name of ["host-id", "wireguard.key"])
    expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  rmSync(file("host-id"));
  const second = readIdentity(directory);
  expect(second.id).not.toBe(first.id);
  expect(second.privateKey).toEqual(first.privateKey);
});

test("files that others can read, or that are damaged, are refused, and stay as they are", () => {
  readIdentity(directory);
  chmodSync(file("wireguard.key"), 0o640);
  expect(() => readIdentity(directory)).toThrow(/wireguard\.key may be read.*chmod 0600/);
  chmodSync(file("wireguard.key"), 0o600);
  for (const text of ["", "x", "A".repeat(43), `${"A".repeat(44)}=`, "A".repeat(1 << 20)]) {
    writeFileSync(file("wireguard.key"), text);
    expect(() => readIdentity(directory)).toThrow(/wireguard\.key is damaged/);
    expect(readFileSync(file("wireguard.key"), "latin1")).toBe(text);
  }
  rmSync(file("wireguard.key"));
  symlinkSync(file("host-id"), file("wireguard.key"));
  expect(() => readIdentity(directory)).toThrow(/cannot read .*wireguard\.key/);
});
