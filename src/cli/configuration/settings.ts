import path from "node:path";
import { UserError } from "../../base/errors.js";
import type { Launch } from "../../client/start.js";
import {
  absoluteSettings,
  checkCluster,
  type DaemonSettings,
} from "../../commandline/daemon-settings.js";
import type { DaemonRunConfig } from "../../commandline/requests.js";
import type { ClusterConfig } from "../../config/cluster-config.js";
import type { DaemonStatus } from "../../rpc/reports.js";
import { configDirectory } from "../../rpc/xdg.js";
import { type Configuration, NOTHING, readConfiguration } from "./file.js";

/** What a daemon is to do, by its options and the configuration file together. */
export interface DaemonConfig {
  readonly servesContainers: boolean;
  /** null: it has no store. */
  readonly cluster: ClusterConfig | null;
  /** As given, for whoever asks; without the password. */
  readonly settings: DaemonSettings;
  /** Sentences for the user. */
  readonly warnings: readonly string[];
}

/** In the directory for configuration. */
const FILE = "config.toml";

/** By which `daemon start` hands a password on: the list of processes shows arguments to every user. */
const PASSWORD_VARIABLE = "SLIPWAY_STORE_PASSWORD";

/**
 * Adds the configuration file to the options of `daemon run`, which replace what the file says by the same name.
 * @throws UserError
 */
export async function daemonConfig(
  { servesContainers, settings: given }: Started,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<DaemonConfig> {
  const directory = configDirectory(environment);
  const file = directory === null ? null : path.join(directory, FILE);
  const configuration = file === null ? NOTHING : await readConfiguration(file);
  const settings = {
    ...configuration.settings,
    ...absoluteSettings(given, process.cwd()),
  };
  const { "store-password": _, ...shown } = settings;
  const cluster = clusterOf(settings, file, configuration);
  return {
    servesContainers: servesContainers || configuration.servesContainers,
    cluster,
    settings: shown,
    warnings: [...warningsOf(given), ...loopbackWarnings(cluster)],
  };
}

function clusterOf(
  settings: DaemonSettings,
  file: string | null,
  configuration: Configuration,
): ClusterConfig | null {
  try {
    return checkCluster(settings);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const isFromFile = Object.keys(configuration.settings).length > 0;
    throw new UserError(isFromFile ? `${error.message} (${file} counts, too)` : error.message);
  }
}

function warningsOf(given: DaemonSettings): readonly string[] {
  if (!isWord(given)) return [];
  return ["--store-password shows the password to whoever lists processes: give @FILE or env:NAME"];
}

function loopbackWarnings(cluster: ClusterConfig | null): readonly string[] {
  const loopbacks = cluster?.advertise.filter(({ isLoopback }) => isLoopback) ?? [];
  return loopbacks.map(
    (address) =>
      `--advertise ${address} is a loopback address: only hosts that are on this machine reach it`,
  );
}

function isWord({ "store-password": texts = [] }: DaemonSettings): boolean {
  return texts.some((text) => !/^(@|env:)/.test(text));
}

/** What `daemon start` asks for. */
export type Started = Pick<DaemonRunConfig, "servesContainers" | "settings">;

const SERVE_CONTAINERS = "--serve-containers";

/** How a daemon is started that has these options. */
export function launchWith({ servesContainers, settings }: Started): Launch {
  const passed = absoluteSettings(settings, process.cwd());
  const { "store-password": password } = settings;
  const isSecret = isWord(settings);
  const shown = isSecret ? { ...passed, "store-password": [`env:${PASSWORD_VARIABLE}`] } : passed;
  return {
    options: [
      ...(servesContainers ? [SERVE_CONTAINERS] : []),
      ...Object.entries(shown).flatMap(([name, texts]) => texts.map((text) => `--${name}=${text}`)),
    ],
    environment: isSecret ? { [PASSWORD_VARIABLE]: password?.at(-1) ?? "" } : {},
  };
}

/** The first option that a running daemon does not have; null: it has them all. Passwords are not compared. */
export function missingOption(
  { servesContainers, settings }: Started,
  running: Pick<DaemonStatus, "servesContainers" | "settings">,
): string | null {
  if (servesContainers && !running.servesContainers) return SERVE_CONTAINERS;
  const { "store-password": _, ...compared } = absoluteSettings(settings, process.cwd());
  for (const [name, texts] of Object.entries(compared)) {
    const has = running.settings[name] ?? [];
    const missing = texts.find((text) => !has.includes(text));
    if (missing !== undefined) return `--${name} ${missing}`;
  }
  return null;
}
