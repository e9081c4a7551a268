import { Command, Option } from "commander";
import { UserError } from "../base/errors.js";
import {
  type PublishedPlace,
  type PublishOption,
  parsePublish,
  parsePublishedPlace,
} from "./publish-option.js";

/** What the commands that ask a running network have in common. */
export interface ControlOptions {
  /** Path of its API socket, or the process that has it; null for what is found. */
  readonly socket: string | null;
  /** Whether programs shall read the output. */
  readonly json: boolean;
}

export type ControlRequest =
  | { readonly kind: "status" }
  /** `watch`: seconds between two lists; null for one list. */
  | { readonly kind: "flows"; readonly watch: number | null }
  | { readonly kind: "port-add"; readonly ports: readonly PublishOption[] }
  | { readonly kind: "port-ls" }
  | {
      readonly kind: "port-rm";
      readonly places: readonly PublishedPlace[];
      readonly kill: boolean;
    };

type Ask = (options: ControlOptions, request: ControlRequest) => void;

interface RawOptions {
  readonly apiSocket?: string;
  readonly json?: boolean;
  readonly watch?: string | true;
  readonly kill?: boolean;
}

const WATCH_SECONDS = { least: 0.1, usual: 1, most: 3600 } as const;

/** `slipway port`, `status` and `flows`. */
export function controlCommands(ask: Ask): readonly Command[] {
  const status = askingCommand("status", "show what runs: addresses, traffic, drops").action(
    (raw: RawOptions) => ask(optionsOf(raw), { kind: "status" }),
  );
  const flows = askingCommand("flows", "list connections, as the namespace and the host see them")
    .addOption(new Option("-w, --watch [seconds]", "list again and again, every second"))
    .action((raw: RawOptions) => {
      ask(optionsOf(raw), { kind: "flows", watch: watchOf(raw.watch) });
    });
  return [status, flows, portCommand(ask)];
}

function portCommand(ask: Ask): Command {
  const command = new Command("port")
    .description("publish ports of a running network")
    .enablePositionalOptions();
  const add = askingCommand("add", "lead ports of the host to the namespace, all or none")
    .argument("<ports...>", "as for --publish of slipway run: [ADDRESS:][PORT]:PORT[/udp]")
    .action((texts: readonly string[], raw: RawOptions) => {
      const ports = texts.map((text) => parsed(text, parsePublish, "8080:80 or [::1]:53:53/udp"));
      ask(optionsOf(raw), { kind: "port-add", ports });
    });
  const list = askingCommand("ls", "list published ports").action((raw: RawOptions) =>
    ask(optionsOf(raw), { kind: "port-ls" }),
  );
  const remove = askingCommand("rm", "publish no longer; connections stay")
    .argument("<ports...>", "of the host: [ADDRESS:]PORT[-PORT][/udp]")
    .addOption(new Option("--kill", "end the connections, too"))
    .action((texts: readonly string[], raw: RawOptions) => {
      const places = texts.map((text) => parsed(text, parsePublishedPlace, "8080 or [::1]:53/udp"));
      ask(optionsOf(raw), { kind: "port-rm", places, kill: raw.kill ?? false });
    });
  for (const each of [add, list, remove]) command.addCommand(each);
  return command;
}

function askingCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(
      new Option("-a, --api-socket <path>", "socket of the network, or the process that has it"),
    )
    .addOption(new Option("--json", "print JSON"));
}

function optionsOf({ apiSocket, json }: RawOptions): ControlOptions {
  return { socket: apiSocket ?? null, json: json ?? false };
}

function watchOf(watch: string | true | undefined): number | null {
  if (watch === undefined) return null;
  const { least, usual, most } = WATCH_SECONDS;
  const seconds = watch === true ? usual : Number(watch);
  if (seconds >= least && seconds <= most) return seconds;
  throw new UserError(`--watch is "${watch}": give seconds, ${least} to ${most}`, 2);
}

function parsed<T>(text: string, parse: (text: string) => T | null, example: string): T {
  const result = parse(text);
  if (result !== null) return result;
  throw new UserError(`port "${text}": write it like ${example}`, 2);
}
