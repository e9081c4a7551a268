import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeDomainNames } from "../../src/wire/domain-names.js";

function encoded(...names: string[]): string {
  return Buffer.from(encodeDomainNames(names, 1024)).toString("hex");
}

it("writes names one after the other, with a dot at the end or without", () => {
  expect(encoded("eng.example", "b.")).toBe("03656e67076578616d706c65000162 00".replace(" ", ""));
});

it.each(["", ".", "a..b", `${"x".repeat(64)}.example`, `${"abcdefg.".repeat(32)}x`])(
  "leaves out %s, which is none",
  (name) => {
    expect(encoded(name)).toBe("");
  },
);

it("writes labels and names up to their limits", () => {
  expect(encoded("x".repeat(63))).toHaveLength(2 * 65);
  expect(encoded(`${"abcdefg.".repeat(31)}abcde`)).toHaveLength(2 * 255);
  expect(encoded(`${"abcdefg.".repeat(31)}abcdef`)).toBe("");
});

it("keeps every valid name", () => {
  fc.assert(
    fc.property(fc.domain(), (name) => {
      expect(encodeDomainNames([name], 1024)).toHaveLength(name.length + 2);
    }),
  );
});

it("stops at the name that does not fit", () => {
  const names = ["a.example", "b.example", "c"];
  expect(encodeDomainNames(names, 22)).toHaveLength(22);
  expect(encodeDomainNames(names, 21)).toHaveLength(11);
  expect(encodeDomainNames(names, 0)).toHaveLength(0);
});
