import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import { isProgramOfPasta, parsePasta } from "../../src/commandline/pasta/command-line.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const programs = ["slipway", "slirp4netns", "pasta", "pesto"] as const;
/** Programs that are described in the manual of another. */
const alsoIn: Readonly<Record<string, readonly string[]>> = { pasta: ["passt"] };

/** What `--help` shows, of a program or of one of its commands. */
function help(program: string, ...command: string[]): string {
  const args = [...command, "--help"];
  const invocation = isProgramOfPasta(program)
    ? parsePasta(program, args)
    : parseCommandLine(program, args);
  if (invocation.kind !== "print") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.text;
}

/** Names of the commands of a program, or of one of its commands, by its help. */
function commands(program: string, ...command: string[]): string[] {
  const [, list = ""] = help(program, ...command).split(/^Commands:$/m);
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = ""]) => name);
  return names.filter((name) => name !== "help");
}

/** The help of a program and of all its commands. */
function helps(program: string, ...command: string[]): string[] {
  const below = commands(program, ...command).flatMap((name) => helps(program, ...command, name));
  return [help(program, ...command), ...below];
}

/** Options with their short forms and arguments, such as "-m, --mtu bytes", and their defaults. */
function optionsOf(program: string): Map<string, string | undefined> {
  const options = new Map<string, string | undefined>();
  for (const text of [program, ...(alsoIn[program] ?? [])].flatMap((each) => helps(each))) {
    const entries = text.matchAll(
      /^ {2}((?:-\w, )?--[\w-]+(?: <[^>]+>)?) +((?:.*\n)(?: {10,}.*\n)*)/gm,
    );
    for (const [, flags = "", description = ""] of entries) {
      const sentence = description.replace(/\s+/g, " ");
      const [, value] = /\bdefault: "?([^),"]+)/.exec(sentence) ?? [];
      // For `run` -h is the hostname.
      const heading = flags === "--help" ? "-h, --help" : flags.replace(/[<>]/g, "");
      options.set(heading, value);
    }
  }
  return options;
}

/** The manual's sections of third level: heading without emphasis, and text. */
function sectionsOf(program: string): Map<string, string> {
  const manual = readFileSync(join(root, `docs/man/${program}.1.md`), "utf8");
  const sections = manual.split(/^### /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [heading = "", ...text] = section.replace(/^# .*/ms, "").split("\n");
      return [heading.replaceAll("*", ""), text.join("\n")];
    }),
  );
}

describe.each(programs)("the manual of %s", (program) => {
  const sections = sectionsOf(program);
  const headings = [...sections.keys()];

  // A new option? Describe it in docs/man, of both programs where both have it.
  test("has every option of --help, and no other", () => {
    const described = headings.filter((heading) => heading.startsWith("-"));
    expect(described.sort()).toEqual([...optionsOf(program).keys()].sort());
  });

  test("has every command, and no other", () => {
    const described = headings.filter((heading) => !heading.startsWith("-"));
    expect(described.sort()).toEqual(commands(program).sort());
  });

  test("has the defaults of --help", () => {
    for (const [flags, value] of optionsOf(program)) {
      const text = sections.get(flags) ?? "";
      // Options of slipway have their text in its manual only.
      if (value !== undefined && text.trim() !== "") expect(text, flags).toContain(value);
    }
  });
});

test("npm run man makes manual pages of them", () => {
  const directory = mkdtempSync(join(tmpdir(), "slipway-man-"));
  try {
    execFileSync(join(root, "scripts/man"), [directory]);
    for (const program of programs) {
      const page = readFileSync(join(directory, `${program}.1`), "utf8");
      expect(page).toMatch(new RegExp(`^\\.TH ${program.toUpperCase()} 1 `, "m"));
      for (const section of ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"]) {
        expect(page).toContain(`.SH ${section}\n`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
