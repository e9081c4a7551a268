import fc from "fast-check";
import { expect, test } from "vitest";
import { UserError } from "../../../src/base/errors.js";
import { programs } from "../../../src/commandline/pasta/programs.js";
import { parse } from "./parse.js";

const ODD = [
  ...[
    "",
    " ",
    'x\ny\u001b[31m\u0000\u202e "\u2028',
    "long".repeat(30_000),
    "a b",
    "/",
    "..",
    "=",
    ",",
  ],
  ...[
    "é",
    "-",
    "::",
    "1.2.3.4.5",
    "٣",
    "0",
    "-1",
    "99999999999",
    "__proto__",
    "constructor",
    "--",
    "~",
  ],
];
const WORDS = [
  "22",
  "auto",
  "none",
  "192.0.2.1/22",
  "2001:db8::1",
  "4711",
  "HOST",
  "/x",
  "-t",
  "-A",
];
/** What a message must not have: the words of libraries, and of a mistake of ours. */
const JARGON = /undefined|NaN|\[object|TypeError|RangeError|Expected|Received|at Object|\$\{/;
const LONGEST_MESSAGE = 1_200;

test.each(["pasta", "passt", "pesto"] as const)(
  "%s: whatever the arguments are, the error is one line with status 1",
  (name) => {
    const longs = Object.values(programs[name].options).map(({ long }) => long);
    const argument = fc.oneof(
      fc.constantFrom(...longs, ...ODD, ...WORDS),
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.stringMatching(/^-[a-zA-Z0-9]{1,4}$/),
      fc
        .tuple(fc.constantFrom(...longs), fc.constantFrom(...ODD, ...WORDS))
        .map(([option, value]) => `${option}=${value}`),
    );
    fc.assert(
      fc.property(fc.array(argument, { maxLength: 6 }), (args) => {
        const message = messageOf(name, args);
        if (message === null) return;
        expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(message).not.toMatch(JARGON);
        expect(message.length).toBeLessThan(LONGEST_MESSAGE);
        expect(message.endsWith(`; see ${name} --help`)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  },
);

/** null: the command line is accepted. */
function messageOf(name: string, args: readonly string[]): string | null {
  try {
    parse(name, args);
    return null;
  } catch (error) {
    if (error instanceof UserError && error.exitStatus === 1) return error.message;
    throw error;
  }
}
