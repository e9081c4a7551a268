import fc from "fast-check";
import { expect, test } from "vitest";
import { UserError } from "../../src/base/errors.js";
import { oneLine, quoted } from "../../src/base/printable.js";

test.each([
  ["plain, with ä and 日本", "plain, with ä and 日本"],
  ["a\nb\r\tc", "a\\nb\\r\\tc"],
  ["\u001b[31mred\u0000", "\\u{1b}[31mred\\u{0}"],
  ["a\u2028b\u202ec\u0085d", "a\\u{2028}b\\u{202e}c\\u{85}d"],
])("%j is shown as %s", (text, shown) => {
  expect(oneLine(text)).toBe(shown);
  expect(new UserError(text).message).toBe(shown);
});

test("of a long line the middle is left out: its end says how to fix it", () => {
  const line = oneLine(`--name ${"x".repeat(100_000)} is too long: take a shorter one`);
  expect(line.length).toBeLessThan(1_010);
  expect(line).toMatch(/^--name x+ … x+ is too long: take a shorter one$/);
});

test("a quoted text is cut", () => {
  expect(quoted('a"\n')).toBe('"a\\"\\n"');
  expect(quoted("x".repeat(100))).toBe(`"${"x".repeat(80)}…"`);
});

test("whatever the text, the line is short and has no control characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (text) => {
      const line = oneLine(text);
      expect(line.length).toBeLessThan(1_010);
      expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\p{Cs}]/u);
      expect(oneLine(line)).toBe(line);
    }),
  );
});
