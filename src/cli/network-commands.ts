import { Command, Option } from "commander";
import * as v from "valibot";
import { DEFAULT_MTU, MTU_RANGE } from "../base/constants.js";
import { UserError } from "../base/errors.js";
import type { AttachmentSpec, NetworkSpec } from "../protocol/messages.js";
import type { OutputOptions } from "./format.js";
import { check } from "./options.js";

/** What is asked of the daemon. */
export type DaemonRequest =
  | { readonly action: "create"; readonly spec: NetworkSpec }
  | { readonly action: "list"; readonly output: OutputOptions; readonly quiet: boolean }
  | {
      readonly action: "inspect";
      readonly names: readonly string[];
      readonly output: OutputOptions;
    }
  | { readonly action: "remove"; readonly names: readonly string[] }
  | { readonly action: "prune" }
  | {
      readonly action: "connect";
      readonly attachment: AttachmentSpec;
      readonly name: string | null;
      /** A process, or the file of a network namespace. */
      readonly target: string;
    }
  | { readonly action: "disconnect"; readonly network: string; readonly member: string }
  | { readonly action: "members"; readonly output: OutputOptions }
  | { readonly action: "start"; readonly servesContainers: boolean }
  | { readonly action: "stop" }
  | { readonly action: "status"; readonly output: OutputOptions };

export interface DaemonRunConfig {
  readonly readyFd: number | null;
  /** Whether containers' hooks and plugins, in namespaces of theirs, may ask. */
  readonly servesContainers: boolean;
}

/** What is done with what the command line asks for. */
export interface NetworkAsk {
  readonly request: (request: DaemonRequest) => void;
  readonly runDaemon: (config: DaemonRunConfig) => void;
}

const texts = v.optional(v.array(v.string()), []);
const flag = v.optional(v.boolean(), false);
const text = v.nullish(v.string(), null);

const createOptions = v.object({
  subnet: texts,
  gateway: texts,
  ipRange: texts,
  ipv6: flag,
  internal: flag,
  mtu: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,5}$/, `--mtu: give a number from ${MTU_RANGE.least} to ${MTU_RANGE.most}`),
    ),
  ),
  opt: texts,
  label: texts,
});
const outputOptions = v.object({ json: flag, format: text });
const connectOptions = v.object({
  name: text,
  ip: texts,
  alias: texts,
  macAddress: text,
  ifname: text,
});
const startOptions = v.object({ serveContainers: flag });
const runOptions = v.object({
  serveContainers: flag,
  readyFd: v.nullish(v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number)), null),
});

const SERVE_CONTAINERS = [
  "--serve-containers",
  "answer hooks and plugins in the namespaces of containers, and so containers that see its socket",
] as const;

/**
 * `network`, `ps` and `daemon`.
 * @param first the first word of the command line: only the command that is asked for is made whole,
 * as each costs a part of every start
 */
export function networkCommands(first: string | undefined, ask: NetworkAsk): readonly Command[] {
  const network = new Command("network").description(
    "make networks, and connect namespaces to them",
  );
  const daemon = new Command("daemon").description("the process that serves networks");
  if (first === "network") addNetworkCommands(network, ask);
  if (first === "daemon") addDaemonCommands(daemon, ask);
  const ps = withOutput(new Command("ps").description("show who is on which network")).action(
    (raw) => ask.request({ action: "members", output: check(outputOptions, raw) }),
  );
  return [network, ps, daemon];
}

function addNetworkCommands(network: Command, { request }: NetworkAsk): void {
  network
    .command("create")
    .description("make a network")
    .argument("<name>")
    .addOption(
      repeated("--subnet <network>", "its network, one of each family; otherwise one that is free"),
    )
    .addOption(
      repeated("--gateway <address>", "the gateway's address; otherwise the first of the subnet"),
    )
    .addOption(
      repeated("--ip-range <network>", "the part of the subnet that addresses are given out of"),
    )
    .option("--ipv6", "IPv6, too; the subnet is chosen unless it is given")
    .option("--internal", "nothing outside of the network is reached")
    .option("-m, --mtu <bytes>", `MTU of its interfaces (default: ${DEFAULT_MTU})`)
    .addOption(repeated("-o, --opt <name=value>", "mtu=BYTES or isolate=true"))
    .addOption(repeated("--label <name=value>", "what you want to remember of it"))
    .action((name: string, raw: unknown) => request({ action: "create", spec: specOf(name, raw) }));
  withOutput(network.command("ls").description("show the networks"))
    .option("-q, --quiet", "ids only")
    .action((raw: { quiet?: boolean }) => {
      request({ action: "list", output: check(outputOptions, raw), quiet: raw.quiet ?? false });
    });
  withOutput(network.command("inspect").description("show networks with their members"))
    .argument("<name...>")
    .action((names: string[], raw: unknown) =>
      request({ action: "inspect", names, output: check(outputOptions, raw) }),
    );
  network
    .command("rm")
    .description("remove networks without members")
    .argument("<name...>")
    .action((names: string[]) => request({ action: "remove", names }));
  network
    .command("prune")
    .description("remove all networks without members")
    .action(() => request({ action: "prune" }));
  network
    .command("connect")
    .description("attach an existing namespace to a network, until it ends or is disconnected")
    .argument("<network>")
    .argument("<target>", "a process, a member, or the file of a network namespace")
    .option("--name <name>", "by which other members find it")
    .addOption(
      repeated(
        "--ip <address>",
        "its address, one of each family; otherwise the next that is free",
      ),
    )
    .addOption(repeated("--alias <name>", "another name; several members may share one"))
    .option("--mac-address <mac>", "its Ethernet address")
    .option("--ifname <name>", "name of the interface (default: the first free of eth0, eth1 …)")
    .action((name: string, target: string, raw: unknown) => {
      const {
        ip: addresses,
        alias: aliases,
        macAddress: mac,
        ifname,
        name: own,
      } = check(connectOptions, raw);
      const attachment = { network: name, addresses, aliases, mac, ifname };
      request({ action: "connect", attachment, name: own, target });
    });
  network
    .command("disconnect")
    .description("take a member off a network")
    .argument("<network>")
    .argument("<member>", "its name or id")
    .action((name: string, member: string) =>
      request({ action: "disconnect", network: name, member }),
    );
}

function addDaemonCommands(daemon: Command, { request, runDaemon }: NetworkAsk): void {
  daemon
    .command("start")
    .description("start it, if it does not run")
    .option(...SERVE_CONTAINERS)
    .action((raw: unknown) => {
      const { serveContainers: servesContainers } = check(startOptions, raw);
      request({ action: "start", servesContainers });
    });
  daemon
    .command("stop")
    .description("end it: members lose the network until it starts again")
    .action(() => request({ action: "stop" }));
  withOutput(
    daemon.command("status").description("show whether it runs, and what it serves"),
  ).action((raw: unknown) => request({ action: "status", output: check(outputOptions, raw) }));
  daemon
    .command("run")
    .description("be it, in the foreground")
    .option("-r, --ready-fd <fd>", 'write "1" to this descriptor when it listens')
    .option(...SERVE_CONTAINERS)
    .action((raw: unknown) => {
      const { readyFd, serveContainers: servesContainers } = check(runOptions, raw);
      runDaemon({ readyFd, servesContainers });
    });
}

function specOf(name: string, raw: unknown): NetworkSpec {
  const { subnet, gateway, ipRange, ipv6, internal, mtu, opt, label } = check(createOptions, raw);
  return {
    name,
    subnets: subnet,
    gateways: gateway,
    ranges: ipRange,
    ipv6,
    internal,
    ...(mtu === undefined ? {} : { mtu: Number(mtu) }),
    labels: pairsOf("--label", label),
    options: pairsOf("--opt", opt),
  };
}

function pairsOf(option: string, list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((pair) => {
      const [, name, value = ""] = /^([^=]+)(?:=(.*))?$/.exec(pair) ?? [];
      if (name === undefined) throw new UserError(`${option} ${pair}: write it like name=value`, 2);
      return [name, value];
    }),
  );
}

function withOutput(command: Command): Command {
  return command
    .option("--json", "all that is known, as JSON")
    .option("--format <template>", "as Docker has it: {{.Name}}, json or table");
}

/** An option whose values add up. */
function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser<string[]>((value, before) => [
    ...(before ?? []),
    value,
  ]);
}
