import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import { slipway } from "../../src/commandline/commands/slipway.js";
import { slirp4netns } from "../../src/commandline/commands/slirp4netns.js";
import { type Command, type CommandGroup, isGroup } from "../../src/commandline/parsing/command.js";

/** A command with the words that name it. */
type Named = readonly [path: string, command: Command];

function commandsOf(node: Command | CommandGroup, path: string): readonly Named[] {
  if (!isGroup(node)) return [[path, node]];
  return node.commands.flatMap((each) => commandsOf(each, `${path} ${each.name}`));
}

const commands = [...commandsOf(slipway, "slipway"), ...commandsOf(slirp4netns, "slirp4netns")];

const HOSTILE = 'x\ny\u001b[31m\u0000\u202e "\u2028';
const LONG = "long".repeat(30_000);
/** Wrong for every option that does not take any text. */
const WRONG = ["", " ", HOSTILE, LONG, "a b", "/", ".."];
/** Wrong for most. */
const ODD = [...WRONG, "=", ",", "é", "-", "::", "1.2.3.4.5", "٣", "0", "-1", "99999999999"];

/** Options whose value is free: a path, a label, a template. What is wrong with it is seen when it is used. */
const FREE = new Set([
  "--pcap",
  "--log-file",
  "--api-socket",
  "--userns-path",
  "--env",
  "--env-file",
  "--workdir",
  "--format",
  "--label",
  "--store-ca",
  "--store-cert",
  "--store-key",
  "--store-user",
  "--store-password",
]);

/** Here it names something that exists; elsewhere it is a new name. */
function isFreeName(path: string, long: string): boolean {
  return long === "--name" && /^slipway (status|flows|port)/.test(path);
}

/** What a message must not have: the words of libraries, and of a mistake of ours. */
const JARGON =
  /undefined|NaN|\[object|TypeError|RangeError|Expected|Received|received|at Object|\$\{/;

const LONGEST_MESSAGE = 1_200;

/** Arguments that a command takes. */
function operandsOf({ arguments: wanted }: Command): string[] {
  return wanted.map(() => "42");
}

/** The error of a command line; null: it is accepted. */
function errorOf(path: string, args: readonly string[]): UserError | null {
  const [name = "", ...words] = path.split(" ");
  try {
    parseCommandLine(name, [...words, ...args]);
    return null;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

/** What is true of every message about a command line. */
function expectWellFormed(path: string, error: UserError): void {
  expect(error.exitStatus).toBe(path === "slirp4netns" ? 1 : 2);
  expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(error.message).not.toMatch(JARGON);
  expect(error.message.length).toBeLessThan(LONGEST_MESSAGE);
  // The reason, then what is allowed, or a question; then whose help has more.
  expect(error.message).toMatch(/^.+; see (slipway|slirp4netns)( [a-z-]+)* --help$/);
}

const withValues = commands.flatMap(([path, command]) =>
  Object.values(command.options)
    .filter(({ value }) => value !== null)
    .map((option) => ({ path, command, option })),
);

describe("every wrong value of every option is told in one line that names the option and what is allowed", () => {
  test.each(withValues.map((each) => [`${each.path} ${each.option.long}`, each] as const))(
    "%s",
    (_, { path, command, option }) => {
      for (const text of ODD) {
        const error = errorOf(path, [`${option.long}=${text}`, ...operandsOf(command)]);
        if (error !== null) expectWellFormed(path, error);
        // An option whose value may be missing takes the empty one.
        const isFree =
          FREE.has(option.long) ||
          isFreeName(path, option.long) ||
          (text === "" && option.value?.startsWith("["));
        if (isFree || !WRONG.includes(text)) continue;
        expect(error?.message, JSON.stringify(text.slice(0, 20))).toMatch(fix);
        expect(error?.message).toContain(option.long === "--tap" ? "TAP name" : option.long);
      }
    },
  );
});

/** How a message says what is allowed. */
const fix =
  /: (give|write|use|begin with|it must be|choose|leave)|write (one|it) like|needs to be|at most|there are|is not one of|write an? /;

test("every option that takes no value refuses one, or takes true and false", () => {
  for (const [path, command] of commands) {
    for (const { long, value } of Object.values(command.options)) {
      if (value !== null) continue;
      const error = errorOf(path, [`${long}=no`, ...operandsOf(command)]);
      const wrong = command.hasBareFlags
        ? `${long} takes no value`
        : `${long}=no: write ${long} or ${long}=false`;
      expect(error?.message).toBe(`${wrong}; see ${path} --help`);
    }
  }
});

test("every option without its value says which value it needs", () => {
  for (const { path, option } of withValues) {
    if (option.value?.startsWith("[")) continue;
    const error = errorOf(path, [option.long]);
    expect(error?.message).toBe(
      `${option.long} needs a value, ${option.value}; see ${path} --help`,
    );
  }
});

describe("whatever the arguments are, the error is one line with the status of usage errors", () => {
  const options = [...new Set(withValues.map(({ option }) => option.long))];
  const words = [
    ...slipway.commands.map(({ name }) => name),
    ...["create", "connect", "add", "rm", "ls", "help", "--help", "--", "-", "-h", "-p", "-v"],
    ...["42", "web", "8080:80", "10.89.7.0/24", "web:ip=10.89.1.5", "container:x", "host", ""],
  ];
  const argument = fc.oneof(
    fc.constantFrom(...words, ...options),
    fc.constantFrom(...ODD),
    fc.string({ unit: "binary", maxLength: 30 }),
    fc
      .tuple(fc.constantFrom(...options), fc.constantFrom(...ODD, ...words))
      .map(([option, value]) => `${option}=${value}`),
  );

  test.each(["slipway", "slirp4netns"])("of %s", (program) => {
    fc.assert(
      fc.property(fc.array(argument, { maxLength: 6 }), (args) => {
        const error = errorOf(program, args);
        if (error !== null) expectWellFormed(program, error);
      }),
      { numRuns: 2_000 },
    );
  });
});
