import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { attachCommand } from "../../src/commandline/commands/attach.ts";
import { networkCommands } from "../../src/commandline/commands/network.ts";
import { slirp4netns } from "../../src/commandline/commands/slirp4netns.ts";
import { type Command, type CommandGroup, isGroup } from "../../src/commandline/parsing/command.ts";
import type { Option } from "../../src/commandline/parsing/option.ts";

const header = fileURLToPath(new URL("../../native/launcher/shared/flags.h", import.meta.url));

/** The commands for which the launcher enters a namespace: it compares what the daemon asks with its own arguments. */
const connect = networkCommands.commands.filter(({ name }) => name === "connect");
const options = [slirp4netns, attachCommand, ...connect].flatMap(optionsOf);
const flags = options.filter(({ value }) => value === null);
const valued = options.filter(({ value }) => value !== null);

function optionsOf(node: Command | CommandGroup): Option<unknown>[] {
  return isGroup(node) ? node.commands.flatMap(optionsOf) : Object.values(node.options);
}

function shortOf(list: readonly Option<unknown>[]): string[] {
  return [...new Set(list.flatMap(({ short }) => short ?? []))].sort();
}

function longOf(list: readonly Option<unknown>[]): string[] {
  return [...new Set(list.map(({ long }) => long))].sort();
}

// The launcher would take the value of an option for an argument (native/launcher/shared/plan-given.c).
test("no option takes a value of one command and none of another", () => {
  expect(longOf(flags).filter((name) => longOf(valued).includes(name))).toEqual([]);
  expect(shortOf(flags).filter((name) => shortOf(valued).includes(name))).toEqual([]);
});

// An option was added? npx vitest run -u --project unit test/commandline/launcher-flags.test.ts
test("the launcher's list of options without a value is that of the declarations", async () => {
  const text = `/* Made by test/commandline/launcher-flags.test.ts from src/commandline. Do not edit. */
#ifndef SLIPWAY_FLAGS_H
#define SLIPWAY_FLAGS_H

/* Options that take no value, of the commands for which the launcher enters a namespace. */
#define SHORT_FLAGS "${shortOf(flags).join("")}"
#define LONG_FLAGS \\
${longOf(flags)
  .map((name) => `  "${name}"`)
  .join(", \\\n")}

#endif
`;
  await expect(text).toMatchFileSnapshot(header);
});
