import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/commandline/command-line.ts";
import { command } from "../../src/commandline/parsing/command.ts";
import { helpOf } from "../../src/commandline/parsing/help.ts";
import { flag, value } from "../../src/commandline/parsing/option.ts";
import { suggestion } from "../../src/commandline/parsing/suggestion.ts";
import { anyText } from "../../src/commandline/parsing/values.ts";

function parse(line: string, name = "slipway") {
  return parseCommandLine(
    name,
    line.split(" ").filter((word) => word !== ""),
  );
}

function attachConfig(line: string, name = "slipway") {
  const invocation = parse(line, name);
  if (invocation.kind !== "attach") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config;
}

describe("options", () => {
  test.each([
    ["attach --api-socket /run/a 42", { path: "/run/a" }],
    ["attach --api-socket /run/a --no-api-socket 42", "none"],
    ["attach --no-api-socket -a /run/a 42", { path: "/run/a" }],
    ["attach 42", "own"],
  ])("that exclude each other: the last counts: %s", (line, expected) => {
    expect(attachConfig(line).apiSocket).toEqual(expected);
  });

  test.each([
    ["42 tap0 -c -r 3", 3],
    ["-cr 3 42 tap0", 3],
    ["-c6r3 42 tap0", 3],
    ["-r 3 -c -r5 42 tap0", 5],
    ["--ready-fd=3 --configure -- 42 tap0", 3],
  ])("are read as getopt_long does: %s", (line, readyFd) => {
    expect(attachConfig(line, "slirp4netns")).toMatchObject({
      configure: true,
      readyFd,
      tap: "tap0",
    });
  });

  test.each([
    ["flows", null],
    ["flows -w", 1],
    ["flows -w --json", 1],
    ["flows --watch 5", 5],
    ["flows -w 0.5 --json", 0.5],
    ["flows -w5", 5],
    ["flows --watch=5", 5],
  ])("may have no value: %s", (line, watch) => {
    expect(parse(line)).toMatchObject({ kind: "control", request: { kind: "flows", watch } });
  });

  test.each([
    ["web", null],
    ["--ipv4 web", true],
    ["--ipv4=true web", true],
    ["--ipv4=FALSE --ipv6 web", false],
    ["web --ipv6 --ipv4=0", false],
    ["--ipv4=false --ipv4 web", true],
  ])("may be turned on and off: network create %s", (line, ipv4) => {
    const request = {
      action: "create",
      spec: { name: "web", ipv4, ipv6: ipv4 === false ? true : null },
    };
    expect(parse(`network create ${line}`)).toMatchObject({ kind: "ask daemon", request });
  });

  test.each([
    ["--ipv4=no", "--ipv4=no: write --ipv4 or --ipv4=false"],
    ["--internal=no", "--internal=no: write --internal or --internal=false"],
  ])("have no other value: %s", (option, sentence) => {
    expect(() => parse(`network create ${option} web`)).toThrow(sentence);
  });

  test.each([
    ["run --stats=true --keep-id=1 true", true],
    ["run --stats --keep-id --stats=false --keep-id=F true", false],
    ["run -i=true -t=false --rm=true --stats=false --stats --keep-id=TRUE true -i=x", true],
  ])("that take no value may be turned on and off, as docker's: %s", (line, isOn) => {
    expect(parse(line)).toMatchObject({ kind: "run", config: { stats: isOn, keepId: isOn } });
  });

  test("that are turned off are as not given", () => {
    const usual = parse("run --network host true");
    expect(parse("run --network host --stats=false -P=false true")).toEqual(usual);
    expect(parse("run -e -t=1 true")).toMatchObject({
      config: { environment: { variables: ["-t=1"] } },
    });
    const kept = parse("run -a /x --no-api-socket=false true");
    expect(kept).toMatchObject({ config: { apiSocket: { path: "/x" } } });
  });

  test("after COMMAND belong to COMMAND", () => {
    const invocation = parse("run --stats curl --mtu 9 -- --help");
    expect(invocation).toMatchObject({
      kind: "run",
      config: {
        stats: true,
        network: { mtu: 1500 },
        command: ["curl", "--mtu", "9", "--", "--help"],
      },
    });
  });
});

describe("an error names the command whose help explains it", () => {
  test.each([
    ["attach --stats=3 42", "--stats takes no value", "attach"],
    ["run -it=true true", "= follows several letters: give each of them alone, as -t=false", "run"],
    ["attach 42 --mtu", "--mtu needs a value, <bytes>", "attach"],
    ["attach 42 tap0 more", 'too many arguments: "more"', "attach"],
    ["network crate x", 'unknown command "crate" (Did you mean create?)', "network"],
    ["network create --hlep x", 'unknown option "--hlep" (Did you mean --help?)', "network create"],
    ["network create", "missing required argument 'name'", "network create"],
    ["port add --kill 80", 'unknown option "--kill"', "port add"],
    ["--versoin", 'unknown option "--versoin" (Did you mean --version?)', ""],
    ["network --versoin", 'unknown option "--versoin"', "network"],
    [
      "exec db sh",
      "there is no command exec: a command joins the network of another by slipway run --network container:NAME -- COMMAND",
      "",
    ],
    [
      "kill db",
      "there is no command kill: end the COMMAND of a run by kill PID, with the PID that slipway ps shows",
      "",
    ],
    [
      "help pull",
      "there is no command pull: Slipway has no images: slipway run has the files of this machine; docs/use-with.md has container engines",
      "",
    ],
    ["network pull", 'unknown command "pull"', "network"],
    ["constructor", 'unknown command "constructor"', ""],
    ["help nothing", 'unknown command "nothing"', ""],
    ["version", 'unknown command "version" (Did you mean --version?)', ""],
    ["connect web 1", 'unknown command "connect" (Did you mean network connect?)', ""],
    ["ls", 'unknown command "ls" (Did you mean one of host ls, network ls, port ls?)', ""],
    ["remove x", 'unknown command "remove" (Did you mean one of network rm, port rm?)', ""],
    ["daemon stat", 'unknown command "stat" (Did you mean status?)', "daemon"],
    ["help netwrk create", 'unknown command "netwrk" (Did you mean network?)', ""],
    ["help network crate", 'unknown command "crate" (Did you mean create?)', "network"],
    ["network help crate", 'unknown command "crate" (Did you mean create?)', "network"],
    [
      "network create --mtu 67 x",
      "--mtu 67 is too small: give a number from 68 to 65521",
      "network create",
    ],
    ["network create --label =x y", '--label "=x": write it like name=value', "network create"],
    [
      "run --udp-filtering all true",
      '--udp-filtering is "all": it must be endpoint or address',
      "run",
    ],
    [
      "run --publish-exclude 22 true",
      "--publish-exclude needs --publish-auto or --host-address: add one of them, too",
      "run",
    ],
  ])("%s", (line, sentence, about) => {
    const message = `${sentence}; see ${["slipway", about].join(" ").trim()} --help`;
    expect(() => parse(line)).toThrow(expect.objectContaining({ message, exitStatus: 2 }));
  });

  test("an empty argument is one that a script's variable lacks", () => {
    const lines = [
      ["attach", ""],
      ["network", "rm", "a", ""],
      ["run", ""],
      ["port", "add", ""],
    ];
    for (const line of lines) {
      expect(() => parseCommandLine("slipway", line)).toThrow(/^argument '[a-z]+' is empty; see /);
    }
    expect(parseCommandLine("slipway", ["run", "printf", ""])).toMatchObject({ kind: "run" });
  });
});

describe("help", () => {
  test.each([
    ["", "slipway COMMAND"],
    ["help", "slipway COMMAND"],
    ["help --help", "slipway COMMAND"],
    ["network", "slipway network COMMAND"],
    ["network help", "slipway network COMMAND"],
    ["help network", "slipway network COMMAND"],
    ["help network create", "slipway network create "],
    ["network help create", "slipway network create "],
    ["help run --mtu", "slipway run "],
    ["help help", "slipway COMMAND"],
    ["network list --help", "slipway network ls "],
    ["help network remove", "slipway network rm "],
    ["port remove --help", "slipway port rm "],
  ])("of `slipway %s`", (line, usage) => {
    const text = expect.stringMatching(new RegExp(`^Usage: ${usage}`));
    expect(parse(line)).toEqual({ kind: "print", text });
  });

  test("takes precedence over errors", () => {
    for (const line of ["attach --bogus --help", "attach -h 1 2 3", "help attach"]) {
      expect(parse(line)).toMatchObject({
        kind: "print",
        text: expect.stringMatching(/^Usage: slipway attach /),
      });
    }
    expect(parse("--bogus -v", "slirp4netns")).toMatchObject({ kind: "print" });
  });

  test("has columns, wrapped at the width of the terminal", () => {
    const brew = command({
      name: "brew",
      help: "make coffee",
      options: {
        strength: value(
          "-s, --strength <n>",
          "how much of it is coffee, and not water",
          anyText,
          "3",
        ),
        milk: flag("--milk", "add milk"),
      },
      arguments: [
        { name: "cup", help: "where to", count: "once" },
        { name: "more", help: null, count: "optional" },
      ],
      invoke: () => ({ kind: "doctor" }),
    });
    expect(helpOf(brew, "bar brew", 70)).toBe(`Usage: bar brew [options] <cup> [more]

make coffee

Arguments:
  cup                 where to

Options:
  -s, --strength <n>  how much of it is coffee, and not water
                      (default: 3)
  --milk              add milk
  -h, --help          show this help
`);
  });
});

describe("suggestions", () => {
  test.each([
    ["--mut", ["--mtu", "--max-flows"], " (Did you mean --mtu?)"],
    [
      "--publ",
      ["--publish", "--publish-auto", "--pull"],
      " (Did you mean one of --publish, --publish-auto?)",
    ],
    ["-a", ["--alias", "--api-socket"], ""],
    ["stat", ["start", "status"], " (Did you mean status?)"],
    ["lss", ["ls", "less"], " (Did you mean one of less, ls?)"],
    ["attach", ["detach", "run"], " (Did you mean detach?)"],
    ["xyz", ["ls", "run"], ""],
    ["--kill", ["--json", "--help"], ""],
    ["x", [], ""],
  ])("for %s", (word, candidates, expected) => {
    expect(suggestion(word, candidates)).toBe(expected);
  });
});
