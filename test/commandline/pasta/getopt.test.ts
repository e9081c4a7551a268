import { describe, expect, test } from "vitest";
import { parse, passt, pasta, refusal } from "./parse.js";

describe("a command line is split as getopt_long(3) does", () => {
  test.each([
    [["--mtu=1400"]],
    [["--mtu", "1400"]],
    [["-m", "1400"]],
    [["-m1400"]],
    [["-fqm1400"]],
    [["-fqm", "1400"]],
    [["--mt", "1400"]],
    [["--mt=1400"]],
  ])("%j", (args) => {
    expect(pasta(...args, "4711").addressing.mtu).toBe(1400);
  });

  test("letters that are combined are as those given alone", () => {
    expect(pasta("-fq4", "4711")).toMatchObject({
      isForeground: true,
      log: { level: "warning" },
      addressing: { families: [4] },
    });
  });

  test("the last value counts", () => {
    expect(pasta("-m", "1400", "--mtu=1500", "4711").addressing.mtu).toBe(1500);
  });

  test("a value may look like an option", () => {
    expect(pasta("--pid", "--foreground", "4711")).toMatchObject({
      pidFile: "--foreground",
      isForeground: false,
    });
  });

  test("a value may be empty or have an equals sign", () => {
    expect(refusal("pasta", "--mtu=", "4711")).toContain("Invalid MTU: ;");
    expect(pasta("--pid=a=b", "4711").pidFile).toBe("a=b");
  });

  test("what follows COMMAND is its own", () => {
    expect(pasta("-f", "curl", "-f", "--", "--mtu=9").target).toEqual({
      kind: "command",
      command: ["curl", "-f", "--", "--mtu=9"],
      ownPids: true,
    });
  });

  test("-- ends the options, and - is none", () => {
    expect(pasta("--", "-f").target).toMatchObject({ command: ["-f"] });
    expect(pasta("-").target).toMatchObject({ command: ["-"] });
  });

  test("passt's options may follow an argument, which it refuses", () => {
    const text = "passt takes no argument: leave out x; see passt --help";
    expect(refusal("passt", "x", "-f")).toBe(text);
    expect(refusal("passt", "x", "--bogus")).toContain("unrecognized option '--bogus'");
  });

  test("an abbreviation that means one option by two names is not ambiguous", () => {
    expect(passt("--sock=/x").target).toMatchObject({ path: "/x" });
  });

  test.each([
    ["unrecognized option '--map-guest-addresses'", ["--map-guest-addresses", "192.0.2.1"]],
    ["unrecognized option '--bogus'", ["--bogus=4", "4711"]],
    ["invalid option -- 'x'", ["-fx"]],
    ["invalid option -- '='", ["-f=1"]],
    ["option '--mtu' requires an argument", ["--mtu"]],
    ["option requires an argument -- 'm'", ["-fm"]],
    ["option '--quiet' doesn't allow an argument", ["--quiet=3"]],
    ["option '--conf' is ambiguous; possibilities: '--conf-path' '--config-net'", ["--conf"]],
  ])("%s", (text, args) => {
    expect(refusal("pasta", ...args)).toMatch(new RegExp(`^${text}.*; see pasta --help$`));
  });
});

describe("--help and --version", () => {
  test.each(["pasta", "passt", "pesto"])(
    "%s: what is wrong behind them is not looked at",
    (name) => {
      expect(textOf(name, "--version", "--bogus", "-t", "foo")).toMatch(/^p\w+ 0\.0~git\d{8}/);
      expect(textOf(name, "-h", "--bogus")).toContain(`Usage: ${name} `);
      expect(refusal(name, "--bogus", "--version")).toContain("unrecognized option '--bogus'");
    },
  );
});

function textOf(name: string, ...args: string[]): string {
  const invocation = parse(name, args);
  if (invocation.kind !== "print") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.text;
}
