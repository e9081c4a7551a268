import * as v from "valibot";
import { formatEndpoint } from "../../base/address.js";
import { HIGHEST_PORT } from "../../base/port-set.js";
import { isValidName, shortId } from "../../config/names.js";
import { sentenceOf, wholeNumber } from "../../rpc/issue.js";
import type { AttachmentSpec } from "../../rpc/messages.js";
import { CniFailure, Code } from "./failure.js";

/** Versions of the spec, newest last. */
export const VERSIONS = ["0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof VERSIONS)[number];

/** Spec, "Section 2: Execution Protocol", Parameters. */
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** IFNAMSIZ and dev_valid_name() of the kernel. */
const IFNAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

const text = v.string();
const texts = v.optional(v.array(text), []);

const portMapping = v.object({
  hostPort: wholeNumber(0, HIGHEST_PORT),
  containerPort: wholeNumber(1, HIGHEST_PORT),
  protocol: v.optional(
    v.pipe(text, v.toLowerCase(), v.picklist(["tcp", "udp"], "must be tcp or udp")),
    "tcp",
  ),
  hostIP: v.optional(text, ""),
});
export type PortMapping = v.InferOutput<typeof portMapping>;

const dns = v.object({
  nameservers: texts,
  domain: v.optional(text),
  search: texts,
  options: texts,
});

/** The result of the plugins before this one in the chain. Other keys are passed on. */
const previousResult = v.looseObject({
  interfaces: v.optional(
    v.array(v.looseObject({ name: text, sandbox: v.optional(text), mac: v.optional(text) })),
    [],
  ),
  ips: v.optional(
    v.array(v.looseObject({ address: text, interface: v.optional(v.nullable(v.number())) })),
    [],
  ),
  routes: v.optional(v.array(v.looseObject({ dst: text })), []),
  dns: v.optional(v.looseObject({})),
});

/** The keys of a network configuration that this plugin reads. */
const netConf = v.object({
  name: v.pipe(text, v.regex(NETWORK_NAME, "must begin with a letter or digit")),
  /** Name or id of Slipway's network, if it is not `name`. */
  network: v.optional(text),
  /** What a runtime may pass at run time: CONVENTIONS.md of the CNI project. */
  runtimeConfig: v.optional(
    v.object({
      portMappings: v.nullish(v.array(portMapping), []),
      ips: v.nullish(v.array(text), []),
      mac: v.nullish(text),
      aliases: v.nullish(v.record(text, v.array(text)), {}),
      dns: v.nullish(v.object({ servers: texts, searches: texts, options: texts })),
    }),
    {},
  ),
  args: v.optional(v.object({ cni: v.optional(v.object({ ips: texts }), {}) }), {}),
  dns: v.optional(dns, {}),
  prevResult: v.nullish(previousResult),
  "cni.dev/valid-attachments": v.optional(
    v.nullable(v.array(v.object({ containerID: text, ifname: text }))),
  ),
});
export type NetConf = v.InferOutput<typeof netConf>;

/** An attachment: a container's interface on a network. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
}

/** A verb and what it needs, checked. */
export type PluginRequest =
  | { readonly verb: "VERSION"; readonly version: string }
  | ({ readonly verb: "ADD" | "CHECK"; readonly netns: string } & Configured & Attachment)
  | ({ readonly verb: "DEL"; readonly netns: string | null } & Configured & Attachment)
  | ({ readonly verb: "GC"; readonly valid: readonly Attachment[] } & Configured)
  | ({ readonly verb: "STATUS" } & Configured);

export interface Configured {
  readonly version: CniVersion;
  /** Name of the configuration, to which the attachments belong. */
  readonly name: string;
  /** Name or id of Slipway's network. */
  readonly network: string;
  readonly conf: NetConf;
  readonly args: CniArgs;
}

/** The keys of CNI_ARGS that this plugin reads. */
interface CniArgs {
  readonly ip: string | null;
  readonly mac: string | null;
  readonly podName: string | null;
}

/**
 * Checks environment and configuration. Looks at nothing else of the machine.
 * @throws CniFailure
 */
export function parseRequest(environment: NodeJS.ProcessEnv, input: string): PluginRequest {
  const { CNI_COMMAND: verb = "" } = environment;
  const raw = parseJson(input);
  const cniVersion = versionIn(raw);
  switch (verb) {
    case "VERSION":
      return { verb, version: cniVersion };
    case "ADD":
    case "CHECK":
      return {
        ...configured(raw, cniVersion, environment),
        ...attachmentOf(environment),
        verb,
        netns: required(environment, "CNI_NETNS", /^\//),
      };
    case "DEL": {
      const { CNI_NETNS: netns = "" } = environment;
      return {
        ...configured(raw, cniVersion, environment),
        ...attachmentOf(environment),
        verb,
        netns: netns === "" ? null : netns,
      };
    }
    case "GC": {
      requireNewest(verb, cniVersion);
      const request = configured(raw, cniVersion, environment);
      const valid = request.conf["cni.dev/valid-attachments"];
      // Without this check a missing list would remove every attachment.
      if (valid === undefined) throw invalidConfig("cni.dev/valid-attachments is missing");
      const attachments = (valid ?? []).map(({ containerID, ifname }) => ({
        containerId: containerID,
        ifname,
      }));
      return { ...request, verb, valid: attachments };
    }
    case "STATUS":
      requireNewest(verb, cniVersion);
      return { ...configured(raw, cniVersion, environment), verb };
    default:
      throw invalidEnvironment("CNI_COMMAND", verb);
  }
}

function configured(raw: unknown, cniVersion: string, environment: NodeJS.ProcessEnv): Configured {
  const version = VERSIONS.find((each) => each === cniVersion);
  if (version === undefined) {
    throw new CniFailure(
      Code.IncompatibleVersion,
      `cniVersion ${cniVersion} is not supported`,
      `write one of ${VERSIONS.join(", ")} in the configuration`,
    );
  }
  const result = v.safeParse(netConf, raw, { abortEarly: true });
  if (!result.success) {
    throw invalidConfig(sentenceOf(result.issues[0], "the configuration"));
  }
  const conf = result.output;
  const { name, network = name } = conf;
  const { CNI_ARGS: args = "" } = environment;
  return { version, name, network, conf, args: parseArgs(args) };
}

/** GC and STATUS came with 1.1. @throws CniFailure when the configuration is of an older version */
function requireNewest(verb: string, version: string): void {
  if (version === "1.1.0") return;
  throw new CniFailure(
    Code.IncompatibleVersion,
    `${verb} needs cniVersion 1.1.0, not ${version}`,
    "write 1.1.0 in the configuration",
  );
}

function attachmentOf(environment: NodeJS.ProcessEnv): Attachment {
  return {
    containerId: required(environment, "CNI_CONTAINERID", CONTAINER_ID),
    ifname: required(environment, "CNI_IFNAME", IFNAME),
  };
}

function required(environment: NodeJS.ProcessEnv, name: string, pattern: RegExp): string {
  const value = environment[name] ?? "";
  if (pattern.test(value)) return value;
  throw invalidEnvironment(name, value);
}

/** Parses KEY=VALUE;KEY=VALUE. @throws CniFailure for an unknown key, unless IgnoreUnknown=1 is there, too */
function parseArgs(list: string): CniArgs {
  const pairs = new Map(
    list
      .split(";")
      .filter((pair) => pair !== "")
      .map((pair): [string, string] => {
        const [, key, value] = /^([^=]+)=(.*)$/.exec(pair) ?? [];
        if (key === undefined || value === undefined) throw invalidEnvironment("CNI_ARGS", pair);
        return [key, value];
      }),
  );
  const ignoresUnknown = /^(1|true)$/i.test(pairs.get("IgnoreUnknown") ?? "");
  const unknown = [...pairs.keys()].find((key) => !KNOWN_ARGS.includes(key));
  if (unknown !== undefined && !ignoresUnknown) throw invalidEnvironment("CNI_ARGS", unknown);
  const given = (key: string): string | null => pairs.get(key) ?? null;
  return { ip: given("IP"), mac: given("MAC"), podName: given("K8S_POD_NAME") };
}

const KNOWN_ARGS: readonly string[] = ["IgnoreUnknown", "IP", "MAC", "K8S_POD_NAME"];

/** The attachment that ADD asks for. A MAC in CNI_ARGS wins, as in the CNI project's plugins. */
export function attachmentSpecOf(
  { network, conf, args }: Configured,
  ifname: string,
): AttachmentSpec {
  const { ips, mac } = conf.runtimeConfig;
  const addresses = [...(args.ip === null ? [] : [args.ip]), ...(ips ?? []), ...conf.args.cni.ips];
  return {
    network,
    ifname,
    mac: args.mac ?? mac ?? null,
    aliases: aliasesOf(conf),
    // Runtimes write ADDRESS/LENGTH; the network knows its own prefix length.
    addresses: [...new Set(addresses.map((each) => each.replace(/\/\d+$/, "")))],
  };
}

function aliasesOf({ name, runtimeConfig }: NetConf): string[] {
  return (runtimeConfig.aliases?.[name] ?? []).filter((alias) => isValidName("alias", alias));
}

/**
 * Names that a container may get, best first: K8S_POD_NAME, then the beginning of its id, in case the first is taken.
 * What cannot be a name is left out.
 */
export function namesOf({ args }: Configured, { containerId }: Attachment): readonly string[] {
  const id = shortId(containerId);
  const candidates = args.podName === null ? [id] : [args.podName, id];
  return candidates.filter((name) => isValidName("name", name));
}

/** In the notation of `--publish`. */
export function publishOf({ hostPort, containerPort, protocol, hostIP }: PortMapping): string {
  const ports = `${hostPort === 0 ? "" : hostPort}:${containerPort}`;
  return `${hostIP === "" ? ports : formatEndpoint(hostIP, ports)}/${protocol}`;
}

/** The input as JSON. An empty input is an empty object, as VERSION may have none. */
function parseJson(input: string): unknown {
  if (input.trim() === "") return {};
  try {
    return JSON.parse(input);
  } catch {
    throw new CniFailure(Code.Undecodable, "the configuration on stdin is not JSON");
  }
}

/** 0.1.0 where none is given, as the spec has it. */
function versionIn(raw: unknown): string {
  const parsed = v.safeParse(v.object({ cniVersion: text }), raw);
  return parsed.success ? parsed.output.cniVersion : "0.1.0";
}

/** The version for the error object: the newest when the input is not JSON. */
export function versionForFailure(input: string): string {
  try {
    return versionIn(JSON.parse(input));
  } catch {
    return VERSIONS[VERSIONS.length - 1];
  }
}

function invalidEnvironment(name: string, value: string): CniFailure {
  const message = value === "" ? `${name} is missing` : `${name}: ${value} is not valid`;
  return new CniFailure(Code.InvalidEnvironment, message);
}

export function invalidConfig(what: string): CniFailure {
  return new CniFailure(Code.InvalidConfig, `network configuration: ${what}`);
}
