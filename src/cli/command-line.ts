import { Command, CommanderError } from "commander";
import type * as v from "valibot";
import manifest from "../../package.json" with { type: "json" };
import { UserError } from "../base/errors.js";
import type { Mac } from "../base/mac.js";
import { NO_PORTS } from "../base/port-set.js";
import type { ApiSocketOption } from "./api-socket.js";
import { type ControlOptions, type ControlRequest, controlCommands } from "./control-commands.js";
import { type NetworkMode, parseNetworkMode } from "./join-option.js";
import type { LogOptions } from "./logging.js";
import { refuseIneffective } from "./mode-options.js";
import { type DaemonRequest, type DaemonRunConfig, networkCommands } from "./network-commands.js";
import { type NetworkOptions, slipwayNetwork, slirp4netnsNetwork } from "./network-options.js";
import {
  attachOptions,
  check,
  limitOptions,
  option,
  pid,
  runOptions,
  slirp4netnsOptions,
  tapFd,
} from "./options.js";
import type { PublishOptions } from "./publish-option.js";
import type { InsideOptions } from "./spawn.js";

/** What is connected: a namespace, or the link of one that somebody else has made. */
export type Target =
  | NamespaceTarget
  /** A TAP that is open as this descriptor. */
  | { readonly kind: "tapfd"; readonly fd: number; readonly pid: null }
  /** Whoever connects to this path. */
  | { readonly kind: "bess"; readonly path: string; readonly pid: null };

/** A network namespace that exists. */
export interface NamespaceTarget {
  readonly kind: "namespace";
  /** Its file. */
  readonly netns: string;
  /** File of the user namespace to enter, or null for the owner of the network namespace. */
  readonly userns: string | null;
  /** The process with which the network shall end, if it was named by one. */
  readonly pid: number | null;
}

export interface RunConfig {
  readonly apiSocket: ApiSocketOption;
  readonly maxApiClients: number;
  readonly log: LogOptions;
  readonly network: NetworkOptions;
  readonly mode: NetworkMode;
  /** By which other members of its networks find it; null: it is given one. */
  readonly name: string | null;
  /** null: on networks its name, elsewhere the host's. */
  readonly hostname: string | null;
  readonly inside: InsideOptions;
  readonly tap: string;
  readonly keepId: boolean;
  /** Whether figures are printed at the end. */
  readonly stats: boolean;
  /** File that gets every frame; null for none. */
  readonly pcap: string | null;
  /** Whether rights are given up before the guest's first frame. */
  readonly sandbox: boolean;
  readonly publish: PublishOptions;
  /** Further options of the guest's resolv.conf. */
  readonly resolverOptions: readonly string[];
  readonly command: readonly [file: string, ...args: string[]];
}

export interface AttachConfig {
  readonly log: LogOptions;
  readonly network: NetworkOptions;
  readonly tap: string;
  readonly target: Target;
  /** Whether lo, TAP, address and route are set, or only the TAP opened. */
  readonly configure: boolean;
  /** Ethernet address of the TAP; null for the one that the kernel gives it. */
  readonly mac: Mac | null;
  readonly readyFd: number | null;
  /** Whether to end when the namespace's file is removed. */
  readonly exitWithNetns: boolean;
  readonly exitFd: number | null;
  readonly apiSocket: ApiSocketOption;
  readonly maxApiClients: number;
  /** Whether figures are printed at the end. */
  readonly stats: boolean;
  /** File that gets every frame; null for none. */
  readonly pcap: string | null;
  /** Whether rights are given up before the guest's first frame. */
  readonly sandbox: boolean;
  readonly publish: PublishOptions;
  /** Whose words tell that the network is up. */
  readonly announcement: "slipway" | "slirp4netns";
}

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "run"; readonly config: RunConfig }
  | { readonly kind: "attach"; readonly config: AttachConfig }
  | { readonly kind: "doctor" }
  | { readonly kind: "oci hook" }
  | {
      readonly kind: "control";
      readonly options: ControlOptions;
      readonly request: ControlRequest;
    }
  | { readonly kind: "ask daemon"; readonly request: DaemonRequest }
  | { readonly kind: "run daemon"; readonly config: DaemonRunConfig };

const SLIPWAY_VERSION = `slipway ${manifest.version}`;
/**
 * The lines of slirp4netns, which podman shows and scripts take apart. Its version is that whose
 * command line this is: callers ask for 0.4 or newer.
 */
const SLIRP4NETNS_VERSION = `slirp4netns version 1.3.2
commit: slipway ${manifest.version}
libslirp: none (lwIP 2.2.1)
SLIRP_CONFIG_VERSION_MAX: 4
libseccomp: none`;

/**
 * Reads a command line; the machine is not looked at.
 * @param name by which the program was called; `slirp4netns` has a command line of its own
 * @throws UserError with exit status 2, or 1 as slirp4netns has it
 */
export function parseCommandLine(name: string, args: readonly string[]): Invocation {
  return new CommandLine(name, args[0]).parse(args);
}

/** The command line of a program, for one who reads many: to build it takes longer than to read. */
export class CommandLine {
  readonly #isSlirp4netns: boolean;
  readonly #program: Command;
  #invocation: Invocation | undefined;
  #text = "";

  /**
   * @param name by which the program was called
   * @param first the first argument: for command lines that begin with that one alone
   */
  constructor(name: string, first: string | undefined) {
    const ask: Ask = (asked) => {
      this.#invocation = asked;
    };
    this.#isSlirp4netns = name === "slirp4netns";
    this.#program = this.#isSlirp4netns ? slirp4netnsProgram(ask) : slipwayProgram(ask, first);
    for (const command of withSubcommands(this.#program)) {
      command.exitOverride().configureOutput({
        writeOut: (part) => {
          this.#text += part;
        },
        writeErr: () => {},
      });
    }
  }

  /** As parseCommandLine(). */
  parse(args: readonly string[]): Invocation {
    this.#text = "";
    try {
      this.#program.parse(args, { from: "user" });
    } catch (error) {
      if (error instanceof CommanderError && error.exitCode === 0) {
        return { kind: "print", text: this.#text };
      }
      const message = messageOf(error, this.#isSlirp4netns ? "slirp4netns" : "slipway");
      throw new UserError(message, this.#isSlirp4netns ? 1 : 2);
    }
    // Every command has an action, and commander throws when none is named.
    return this.#invocation as Invocation;
  }
}

type Ask = (invocation: Invocation) => void;

function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** @param first the first argument: those who start a network need not wait for the rest */
function slipwayProgram(ask: Ask, first = ""): Command {
  const program = new Command("slipway")
    .description("Rootless networking for containers and namespaces.")
    .version(SLIPWAY_VERSION, "-v, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .enablePositionalOptions();
  program.addCommand(runCommand(ask));
  program.addCommand(attachCommand(ask));
  program
    .command("doctor")
    .description("check whether this machine is fit for Slipway, and say how to mend it")
    .action(() => ask({ kind: "doctor" }));
  if (first === "run" || first === "attach") return program;
  program
    .command("oci-hook")
    .description("be a hook of an OCI runtime: the container's state comes on stdin")
    .action(() => ask({ kind: "oci hook" }));
  const commands = controlCommands((options, request) => {
    ask({ kind: "control", options, request });
  });
  for (const each of commands) program.addCommand(each);
  const networked = networkCommands(first, {
    request: (request) => ask({ kind: "ask daemon", request }),
    runDaemon: (config) => ask({ kind: "run daemon", config }),
  });
  for (const command of networked) program.addCommand(command);
  return program;
}

function runCommand(ask: Ask): Command {
  const command = new Command("run")
    .description("run a command in new namespaces")
    .usage("[options] -- COMMAND [ARG...]")
    .argument("<command...>", "what to run")
    .passThroughOptions()
    .addOption(option.tap)
    .addOption(option.keepId)
    .addOption(option.dnsOption)
    .addOption(option.network)
    .addOption(option.name)
    .addOption(option.hostname)
    .addOption(option.pid)
    .addOption(option.apiInside)
    .addOption(option.ip)
    .addOption(option.macAddress)
    .addOption(option.alias)
    .action((command: [string, ...string[]], raw: unknown, self: Command) => {
      const options = check(runOptions, raw);
      const { tap, keepId, stats, pcap, sandbox, dnsOption: resolverOptions } = options;
      const publish = publishOptions(options);
      const network = slipwayNetwork(options);
      const mode = parseNetworkMode(options.network, options);
      refuseIneffective(mode.kind, self);
      ask({
        kind: "run",
        config: {
          network,
          tap,
          keepId,
          stats,
          pcap,
          sandbox,
          publish,
          resolverOptions,
          command,
          mode,
          name: options.name,
          hostname: options.hostname,
          inside: { ownPids: options.pid === null, seesApi: options.apiInside },
          log: logOptions(options),
          apiSocket: apiSocketOption(options.apiSocket),
          maxApiClients: options.maxApiClients,
        },
      });
    });
  return withNetworkOptions(command);
}

type AnyOptions = v.InferOutput<
  typeof runOptions | typeof attachOptions | typeof slirp4netnsOptions
>;

function logOptions(options: AnyOptions): LogOptions {
  const { logFile: file, logLevel: level, logFormat: format, maxLogLines } = options;
  return { file, level, format, linesPerSecond: maxLogLines };
}

/** `run` and `attach` have a socket of their own unless the user has it otherwise. */
function apiSocketOption(option: string | boolean): ApiSocketOption {
  if (typeof option === "string") return { path: option };
  return option ? "own" : "none";
}

function publishOptions(options: v.InferOutput<typeof runOptions | typeof attachOptions>) {
  const { publish: ports, publishAuto, publishExclude, publishToLoopback: toLoopback } = options;
  if (publishExclude !== undefined && !publishAuto) {
    throw new UserError("--publish-exclude is for --publish-auto: give that, too", 2);
  }
  const exclude = publishExclude ?? NO_PORTS;
  return { ports, auto: publishAuto ? { exclude } : null, toLoopback };
}

/** What `run` and `attach` offer beside slirp4netns's options. */
function withNetworkOptions(command: Command): Command {
  return withCommonOptions(command)
    .addOption(option.apiSocket)
    .addOption(option.noApiSocket)
    .addOption(option.publish)
    .addOption(option.publishAuto)
    .addOption(option.publishExclude)
    .addOption(option.publishToLoopback)
    .addOption(option.hostLoopback)
    .addOption(option.noIpv6)
    .addOption(option.dns)
    .addOption(option.dnsSearch)
    .addOption(option.addHost);
}

function withCommonOptions(command: Command): Command {
  command
    .addOption(option.mtu)
    .addOption(option.cidr)
    .addOption(option.ipv6Cidr)
    .addOption(option.disableDns)
    .addOption(option.outboundAddr)
    .addOption(option.outboundAddr6)
    .addOption(option.udpFiltering)
    .addOption(option.timeout)
    .addOption(option.memory)
    .addOption(option.stats)
    .addOption(option.pcap)
    .addOption(option.logFile)
    .addOption(option.logLevel)
    .addOption(option.logFormat)
    .addOption(option.maxLogLines)
    .addOption(option.maxApiClients)
    .addOption(option.noSandbox);
  for (const each of limitOptions) command.addOption(each);
  return command;
}

function attachCommand(ask: Ask): Command {
  const command = new Command("attach")
    .description("give a namespace that exists a network, until it dies or a signal comes")
    .usage("[options] PID|PATH [TAPNAME]")
    .argument("<target>", "a process, or the file of a network namespace")
    .argument("[tapname]", "name of the TAP in the namespace", "tap0")
    .addOption(option.readyFd)
    .addOption(option.exitFd)
    .addOption(option.exitWithNetns)
    .addOption(option.shared)
    .action((target: string, tapName: string, raw: object) => {
      const options = check(attachOptions, { ...raw, tap: tapName });
      const { tap, readyFd, exitFd, exitWithNetns, stats, pcap, sandbox } = options;
      ask({
        kind: "attach",
        config: {
          network: slipwayNetwork(options),
          tap,
          target: targetOf(target, /^\d+$/.test(target) ? "pid" : "path", null),
          configure: true,
          readyFd,
          exitFd,
          exitWithNetns,
          mac: null,
          apiSocket: apiSocketOption(options.apiSocket),
          maxApiClients: options.maxApiClients,
          publish: publishOptions(options),
          log: logOptions(options),
          stats,
          pcap,
          sandbox,
          announcement: "slipway",
        },
      });
    });
  return withNetworkOptions(command);
}

/** The command line of slirp4netns 1.3; superfluous arguments are ignored as there. */
function slirp4netnsProgram(ask: Ask): Command {
  const program = new Command("slirp4netns")
    .description("User-mode networking for unprivileged network namespaces, by Slipway.")
    .usage("[OPTION]... PID|PATH|FD [TAPNAME]")
    .version(SLIRP4NETNS_VERSION, "-v, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .argument(
      "<target>",
      "a process, the file of a network namespace, or a descriptor (see --netns-type, --target-type)",
    )
    .argument("[tapname]", "name of the TAP in the namespace")
    .allowExcessArguments()
    .addOption(option.configure)
    .addOption(option.exitFd)
    .addOption(option.exitWithNetns)
    .addOption(option.readyFd)
    .addOption(option.enableIpv6)
    .addOption(option.disableHostLoopback)
    .addOption(option.apiSocket)
    .addOption(option.netnsType)
    .addOption(option.targetType)
    .addOption(option.usernsPath)
    .addOption(option.macaddress)
    .addOption(option.shared)
    .addOption(option.enableSandbox)
    .addOption(option.enableSeccomp)
    .action((argument: string, tapName: string | undefined, raw: object) => {
      const options = check(slirp4netnsOptions, { ...raw, tap: tapName ?? "tap0" });
      const target = slirp4netnsTarget(argument, options);
      if (target.kind === "namespace" && tapName === undefined) {
        throw new UserError("missing required argument 'tapname'; see slirp4netns --help", 2);
      }
      const { tap, configure, readyFd, exitFd, apiSocket, stats, pcap, sandbox } = options;
      const { exitWithNetns, macaddress: mac } = options;
      if (exitWithNetns && target.kind !== "namespace") {
        throw new UserError("--exit-with-netns is for a namespace: name one by PID or PATH", 2);
      }
      if (mac !== null && !configure) {
        throw new UserError("--macaddress is for --configure: give that, too", 2);
      }
      ask({
        kind: "attach",
        config: {
          network: slirp4netnsNetwork(options),
          tap,
          target,
          configure,
          readyFd,
          exitFd,
          exitWithNetns,
          mac,
          apiSocket: apiSocket === null ? "none" : { path: apiSocket },
          maxApiClients: options.maxApiClients,
          publish: { ports: [], auto: null, toLoopback: false },
          log: logOptions(options),
          stats,
          pcap,
          sandbox,
          announcement: "slirp4netns",
        },
      });
    });
  return withCommonOptions(program);
}

function slirp4netnsTarget(
  argument: string,
  { netnsType, targetType, usernsPath }: v.InferOutput<typeof slirp4netnsOptions>,
): Target {
  if (targetType === "bess") return { kind: "bess", path: argument, pid: null };
  if (netnsType === "tapfd") return { kind: "tapfd", fd: check(tapFd, argument), pid: null };
  return targetOf(argument, netnsType, usernsPath);
}

function targetOf(text: string, type: "pid" | "path", userns: string | null): NamespaceTarget {
  if (type === "path") return { kind: "namespace", netns: text, userns, pid: null };
  const id = check(pid, text);
  return { kind: "namespace", netns: `/proc/${id}/ns/net`, userns, pid: id };
}

/** What is wrong with a command line; errors that are not of its user are thrown again. */
function messageOf(error: unknown, program: string): string {
  if (error instanceof UserError) return error.message;
  if (error instanceof CommanderError) return sentenceOf(error, program);
  throw error;
}

/** commander's message as one line. */
function sentenceOf(error: CommanderError, program: string): string {
  const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  const what = error.code === "commander.help" ? "no command given" : message;
  return `${what}; see ${program} --help`;
}
