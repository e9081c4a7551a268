import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import {
  findByName,
  hostnameOfMember,
  isTaken,
  isValidName,
  type NameKind,
  requireValidName,
} from "../../src/config/names.ts";

const label = "a".repeat(63);
/** 253 characters, and one more. */
const domain = `${label}.${label}.${label}.${"a".repeat(61)}`;

describe("what can be a name", () => {
  test.each([
    ["db", ["name", "alias", "hostname"]],
    ["DB", ["name", "alias", "hostname"]],
    ["7", ["name", "alias", "hostname"]],
    ["proj_web_1", ["name", "alias", "hostname"]],
    ["proj-web-1", ["name", "alias", "hostname"]],
    ["example.com", ["name", "alias", "hostname"]],
    ["db-", ["name", "alias", "hostname"]],
    [label, ["name", "alias", "hostname"]],
    [`${label}a`, ["hostname"]],
    [`${label}.a`, ["name", "alias"]],
    [domain, ["name", "alias"]],
    [`${domain}a`, []],
    ["_sip._tcp", ["alias"]],
    ["-db", ["alias"]],
    [".db", []],
    ["a/b", []],
    ["a b", []],
    ["ä", []],
    ["a\nb", []],
    ["a\n", []],
    ["", []],
  ] as const)("%j: %j", (text, expected) => {
    const kinds: readonly NameKind[] = ["name", "alias", "hostname"];
    expect(kinds.filter((kind) => isValidName(kind, text))).toEqual(expected);
  });

  test.each([
    ["a..b", "name"],
    ["db.", "alias"],
  ] as const)("DNS cannot ask for %s", (text, kind) => {
    expect(isValidName(kind, text)).toBe(false);
  });

  test("is told in one line, with the limits", () => {
    const refusal = (text: string): UserError => {
      try {
        requireValidName("name", "a network's name", text);
      } catch (error) {
        if (error instanceof UserError) return error;
      }
      throw new Error(`${text} was accepted`);
    };
    expect(refusal("a\nb").message).toBe(
      '"a\\nb" cannot be a network\'s name: begin with a letter or digit, and use letters, digits and _ . -, 63 at most between dots, 253 in all',
    );
    expect(refusal("a\nb").exitStatus).toBe(2);
    expect(refusal("x".repeat(4000)).message.length).toBeLessThan(250);
  });
});

test("a name is taken by one of that name in any case, or of that id", () => {
  const other = { name: "Db_1", id: "a".repeat(64) };
  expect(["db_1", "DB_1", other.id].map((name) => isTaken(name, other))).toEqual([
    true,
    true,
    true,
  ]);
  expect(["db_2", "a".repeat(63)].map((name) => isTaken(name, other))).toEqual([false, false]);
});

test("a member's hostname is its name, or its short id if no hostname is that long", () => {
  const id = `0123456789ab${"0".repeat(52)}`;
  expect(hostnameOfMember("proj_web.1", id)).toBe("proj_web.1");
  expect(hostnameOfMember(domain, id)).toBe("0123456789ab");
});

describe("findByName", () => {
  const named = (name: string, id: string) => ({ name, id: id.padEnd(64, "0") });
  const all = [
    named("first", "deadbeef1"),
    named("deadbeef", "b"),
    named("a", "c"),
    named("Web", "abcdef012"),
    named("other", "abcdef019"),
  ];
  test.each([
    ["deadbeef", "deadbeef"],
    ["deadbeef1", "first"],
    ["a", "a"],
    ["b", undefined],
    ["web", "Web"],
    ["abcdef01", undefined],
    ["abcdef019", "other"],
    ["b".padEnd(64, "0"), "deadbeef"],
  ])("%s is %s", (text, expected) => {
    expect(findByName(all, text)?.name).toBe(expected);
  });
});
