import { hostname } from "node:os";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { wordsFor } from "../../base/stdio.js";
import type { CommandTarget, PastaConfig } from "../../commandline/pasta/config.js";
import type { NamespaceTarget } from "../../commandline/target.js";
import { LONGEST_HOSTNAME } from "../../config/names.js";
import type { TapHandle } from "../../guest/tap-handle.js";
import type { ApiListener } from "../../host/api-socket.js";
import { PidFile } from "../../host/background.js";
import { checkOwner, openEndings, watchEndings } from "../../host/endings.js";
import { openStream, type StreamTarget } from "../../host/links/stream.js";
import { listenForPesto } from "../../host/ports/control-socket.js";
import { type Forwarding, needsResident, startForwarding } from "../../host/ports/forwarding.js";
import { joinBroker } from "../../host/sandbox.js";
import { END_SIGNALS, SoleGuest } from "../../host/sole-guest.js";
import { openResident, type Resident } from "../../netns/agent.js";
import { NamespaceError } from "../../netns/failure.js";
import { superviseChild } from "../../netns/jobs.js";
import type { Namespace } from "../../netns/namespace.js";
import { namespaceOf, release, type SpawnRequest, spawnHeld } from "../../netns/spawn.js";
import { openTapAndStay, type TapSettings } from "../../netns/tap.js";
import { fail } from "../exit.js";
import { preparePasta } from "./guest.js";
import { startPastaLog } from "./log.js";
import { refuseOtherUser, userAfter } from "./run-as.js";

/**
 * `pasta` and `passt`: serve a guest until its namespace or its command ends, or a signal arrives.
 * @throws UserError before the network is up
 */
export async function pasta(config: PastaConfig): Promise<void> {
  startPastaLog(config);
  joinBroker();
  const { target } = config;
  const { SLIPWAY_TAKEN: taken } = process.env;
  if (taken !== undefined && target.kind === "namespace") {
    return takeOver(config, target, taken);
  }
  const pidFile = new PidFile(config.pidFile);
  switch (target.kind) {
    case "namespace":
      return connect(config, target, pidFile);
    case "command":
      return runCommand(config, target, pidFile);
    case "socket":
    case "fd":
      return serveMachine(config, target, pidFile);
  }
}

/** Serves a namespace that exists. */
async function connect(
  config: PastaConfig,
  target: NamespaceTarget,
  pidFile: PidFile,
): Promise<void> {
  try {
    await serveNamespace(config, target, inside(target), pidFile);
    pidFile.announce();
  } catch (error) {
    throw inPastasWords(error, target);
  }
}

/** Goes on with the guest of a daemon that has died. The launcher has written the pid file. */
async function takeOver(
  config: PastaConfig,
  target: NamespaceTarget,
  descriptors: string,
): Promise<void> {
  const { tap } = (await import("../../host/takeover.js")).takeOver(descriptors);
  const place = { open: () => ({ tap, resident: openResident(target) }) };
  await serveNamespace(config, target, place, null);
}

/** Clients decide by pasta's words what to do about a namespace that is not there. */
function inPastasWords(error: unknown, { netns, userns }: NamespaceTarget): unknown {
  if (!(error instanceof NamespaceError)) return error;
  const { kind, errno, message } = error;
  const path = kind === "network" ? netns : (userns ?? `of ${netns}`);
  return new UserError(`Couldn't open ${kind} namespace ${path}: ${wordsFor(-errno)}: ${message}`);
}

/** @param pidFile null: it is written */
async function serveNamespace(
  config: PastaConfig,
  target: NamespaceTarget,
  place: Place,
  pidFile: PidFile | null,
): Promise<void> {
  const user = userAfter(config.runAs);
  const exitWithNetns = !config.staysWithoutNetns;
  const pid = exitWithNetns ? target.pid : null;
  const endings = openEndings({ exitFd: null, exitWithNetns, target: { ...target, pid } });
  const { sole, control } = await openGuest(config, place, target.pid, (line) =>
    fail(new UserError(line)),
  );
  checkOwner(endings);
  watchEndings(endings, sole.loop, endSignals(config), (why) => sole.end(why, 0));
  pidFile?.prepare();
  sole.start(control, { hasChild: false, inUse: [], user });
  log.info("the namespace of %s is connected", target.netns);
}

/** Signals that end the process. In the background SIGHUP would, too, if it were not ignored. */
function endSignals({ isForeground }: PastaConfig): readonly NodeJS.Signals[] {
  if (isForeground) return END_SIGNALS;
  process.on("SIGHUP", () => undefined);
  return END_SIGNALS.filter((signal) => signal !== "SIGHUP");
}

/** Serves the virtual machines that connect to a socket. */
async function serveMachine(
  config: PastaConfig,
  target: StreamTarget,
  pidFile: PidFile,
): Promise<void> {
  const user = userAfter(config.runAs);
  const link = openStream(target);
  const { sole, control } = await openGuest(
    config,
    { open: () => ({ tap: link, resident: null }) },
    null,
    (line) => fail(new UserError(line)),
  );
  const end = (why: string): void => sole.end(why, 0);
  link.start(sole.loop, sole.guest, end);
  for (const signal of endSignals(config)) process.on(signal, end);
  const inUse = target.kind === "fd" ? [target.fd] : [];
  pidFile.prepare();
  sole.start(control, { hasChild: false, inUse, user });
  log.info("%s is served", link.name);
  pidFile.announce();
}

/** Runs a command, or the user's shell, in namespaces of its own, and ends with its exit status. */
async function runCommand(
  config: PastaConfig,
  target: CommandTarget,
  pidFile: PidFile,
): Promise<void> {
  refuseOtherUser(config.runAs);
  const { command, calledAs } = commandOf(target.command);
  const child = spawnHeld({
    command,
    calledAs,
    keepId: false,
    resolvConf: null,
    hostname: `pasta-${hostname()}`.slice(0, LONGEST_HOSTNAME),
    inside: { ownPids: target.ownPids, seesApi: false },
    apiSocket: config.controlSocket,
  });
  const place = inside(namespaceOf(child));
  const { sole, control } = await openGuest(config, place, child.pid, log.warn);
  superviseChild(child, (status) => {
    sole.endDrained(`${command[0]} has ended with status ${status}`, status);
  });
  pidFile.prepare();
  sole.start(control, { hasChild: true, inUse: [] });
  pidFile.announce();
  release(child);
}

/** Without words the user's shell, as a login shell. */
function commandOf([file, ...args]: readonly string[]): Required<
  Pick<SpawnRequest, "command" | "calledAs">
> {
  if (file !== undefined) return { command: [file, ...args], calledAs: file };
  const { SHELL: chosen = "" } = process.env;
  const shell = chosen === "" ? "/bin/sh" : chosen;
  return { command: [shell], calledAs: `-${shell}` };
}

/** Where the guest is. */
interface Place {
  /** @returns the guest's link, and an agent in its namespace; null: that is none of this machine's */
  open(
    name: string,
    settings: TapSettings,
  ): { readonly tap: TapHandle; readonly resident: Resident | null };
}

function inside(namespace: Namespace): Place {
  return { open: (name, settings) => openTapAndStay(namespace, name, settings) };
}

interface Opened {
  readonly sole: SoleGuest;
  /** Where pesto is answered; null: nowhere. */
  readonly control: ApiListener | null;
}

/** @param onGone gets a line when the network is gone for a reason of its own */
async function openGuest(
  config: PastaConfig,
  { open }: Place,
  pid: number | null,
  onGone: (line: string) => void,
): Promise<Opened> {
  const { prepared, settings, follow } = preparePasta(config);
  const { tapName } = prepared;
  const { controlSocket: path } = config;
  const forwarding: Forwarding[] = [];
  const { tap, resident } = open(tapName, settings);
  const forPorts = needsResident(config) ? resident : null;
  const sole = new SoleGuest(prepared, {
    tap,
    pid,
    api: { mostClients: 0, isOpenInside: false },
    publish: (guest) => {
      forwarding.push(startForwarding(guest, forPorts, config));
    },
    onGone: (why) => onGone(`${tapName}: ${why}: the network is gone`),
  });
  if (config.addressing.follows) follow(sole, resident);
  else if (forPorts === null) resident?.close();
  const control = path === null ? null : await listenForPesto(path, () => forwarding[0]);
  return { sole, control };
}
