import { describe, expect, test } from "vitest";
import { extentsOf, parseRanges } from "../../src/netns/subordinate-ids.js";

const alice = { name: "alice", uid: "1000" };

describe("the ranges of an owner in /etc/subuid", () => {
  test.for([
    ["by name", "alice:100000:65536\n", [[100_000, 65_536]]],
    ["by uid", "1000:100000:65536\n", [[100_000, 65_536]]],
    ["without a newline at the end", "alice:100000:65536", [[100_000, 65_536]]],
    [
      "several",
      "alice:5:3\nbob:10:3\nalice:20:3\n",
      [
        [5, 3],
        [20, 3],
      ],
    ],
    ["not twice by name and uid", "alice:100000:65536\n1000:100000:65536\n", [[100_000, 65_536]]],
    [
      "not those that overlap",
      "alice:10:10\nalice:19:10\nalice:20:5\n",
      [
        [10, 10],
        [20, 5],
      ],
    ],
    ["not those with the user's own id", "alice:500:1000\nalice:2000:1\n", [[2000, 1]]],
    ["nobody else's", "alicia:1:2\n10000:3:4\nalice :5:6\n", []],
    ["up to the last id", "alice:4294967294:1\n", [[4_294_967_294, 1]]],
  ] as const)("%s", ([, text, ranges]) => {
    const found = parseRanges(text, alice, 1000).map(({ first, count }) => [first, count]);
    expect(found).toEqual(ranges);
  });

  test.for([
    "",
    "#alice:1:2",
    "alice",
    "alice:1",
    "alice:1:2:3",
    "alice:-1:2",
    "alice:1:0",
    "alice:0x10:5",
    "alice: 1:2",
    "alice:1e3:5",
    "alice:4294967294:2",
    "alice:4294967295:1",
    "alice:99999999999:1",
    "alice:1:99999999999999999999",
  ])("none: %s", (line) => {
    expect(parseRanges(`${line}\n`, alice, 1000)).toEqual([]);
  });

  test("no more than a map takes", () => {
    const many = Array.from({ length: 400 }, (_, index) => `alice:${(index + 1) * 2000}:5`);
    expect(parseRanges(many.join("\n"), alice, 1000)).toHaveLength(16);
  });
});

describe("the map", () => {
  const ranges = [
    { first: 100_000, count: 600 },
    { first: 200_000, count: 1000 },
  ];

  test.for([
    [
      "root inside is the user",
      1000,
      false,
      [
        [0, 1000, 1],
        [1, 100_000, 600],
        [601, 200_000, 1000],
      ],
    ],
    [
      "the kept id divides a range",
      1000,
      true,
      [
        [1000, 1000, 1],
        [0, 100_000, 600],
        [600, 200_000, 400],
        [1001, 200_400, 600],
      ],
    ],
    [
      "between two ranges",
      600,
      true,
      [
        [600, 600, 1],
        [0, 100_000, 600],
        [601, 200_000, 1000],
      ],
    ],
    [
      "above all",
      5000,
      true,
      [
        [5000, 5000, 1],
        [0, 100_000, 600],
        [600, 200_000, 1000],
      ],
    ],
    [
      "root keeps 0",
      0,
      true,
      [
        [0, 0, 1],
        [1, 100_000, 600],
        [601, 200_000, 1000],
      ],
    ],
  ] as const)("%s", ([, own, keepId, map]) => {
    const extents = extentsOf(ranges, own, keepId);
    expect(extents.map(({ inside, outside, count }) => [inside, outside, count])).toEqual(map);
  });
});
