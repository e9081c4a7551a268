import { writeSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { Stdio } from "../../base/stdio.js";
import type { AttachConfig, Target } from "../../commandline/invocation.js";
import { listenForApi } from "../../host/api-socket.js";
import { checkOwner, openEndings, watchEndings } from "../../host/endings.js";
import { hostnameOf } from "../../host/guest-config.js";
import { nameOf, openLink } from "../../host/links/link.js";
import { announcement } from "../../host/output/announcement.js";
import { startLogging } from "../../host/output/logging.js";
import { startPublishing } from "../../host/ports/publishing.js";
import { joinBroker } from "../../host/sandbox.js";
import { END_SIGNALS, prepareGuest, SoleGuest } from "../../host/sole-guest.js";
import type { Takeover } from "../../host/takeover.js";
import { isRun, meantProcess } from "../../netns/run-process.js";
import { netnsOf } from "../../rpc/namespaces.js";
import { ReadyFd } from "../../sys/inherited.js";
import { native } from "../../sys/native.js";
import { fail } from "../exit.js";

/**
 * `slipway attach` and `slirp4netns`: serves a namespace until its process ends, the exit-fd has an event or a signal
 * arrives, then ends this process with 0.
 * @throws UserError before the network is ready; the ready-fd is not written then
 */
export async function attach(given: AttachConfig): Promise<void> {
  startLogging(given.log);
  joinBroker();
  const takeover = await openTakeover();
  const target = await meantTarget(given.target);
  const options = { ...given, target };
  // After a takeover it has been written to already, by the daemon.
  const waiting = new ReadyFd(takeover === null ? options.readyFd : null);
  const endings = openEndings(options);
  const prepared = prepareGuest(options, () => hostnameOf(target.pid));
  const { config } = prepared;
  const link = takeover ?? (await openLink(options, config));
  checkOwner(endings);
  const report = new Report();
  const sole = new SoleGuest(prepared, {
    tap: link.tap,
    pid: target.pid,
    api: { mostClients: options.maxApiClients, isOpenInside: false },
    publish: (guest) => {
      if (target.kind !== "namespace" || takeover !== null) return;
      startPublishing(guest, target, options.publish, (line) => report.add(line));
    },
    onGone: (why) => failGone(options.tap, why),
  });
  const end = (why: string): void => sole.end(why, 0);
  link.start(sole.loop, sole.guest, end);
  watchEndings(endings, sole.loop, END_SIGNALS, end);
  const api = await listenForApi(options.apiSocket, takeover?.apiSocket);
  const tapFd = target.kind === "tapfd" ? target.fd : null;
  sole.start(api, { hasChild: false, inUse: [options.readyFd, options.exitFd, tapFd] });
  if (takeover === null) report.begin(announcement(options, config));
  log.info("%s is up: %s", options.tap, nameOf(target));
  warnOfUnshared();
  waiting.write("1");
}

/** The namespace of COMMAND where a target is the PID of a `slipway run`, which itself stays in ours. @throws UserError */
async function meantTarget(target: Target): Promise<Target> {
  const { pid } = target;
  // The broker is asked for a run only: each start would wait for its answer.
  if (pid === null || !isRun(pid) || isElsewhere(pid)) return target;
  const command = await meantProcess(pid, isElsewhere);
  return command === pid ? target : { ...target, netns: netnsOf(command), pid: command };
}

/** The broker looks: the launcher has put us into a user namespace that may not. */
function isElsewhere(pid: number): boolean {
  return native.sameNamespace(netnsOf(pid), netnsOf("self")) === 0;
}

/** The guest of a daemon that has died, if this process is to take one over; otherwise null. */
async function openTakeover(): Promise<Takeover | null> {
  const { SLIPWAY_TAKEN: descriptors } = process.env;
  return descriptors === undefined
    ? null
    : (await import("../../host/takeover.js")).takeOver(descriptors);
}

/** The launcher says why the daemon does not serve this guest if the user asked for it by --shared. */
function warnOfUnshared(): void {
  const { SLIPWAY_UNSHARED: reason } = process.env;
  if (reason !== undefined) log.warn("--shared: a process of its own serves the guest: %s", reason);
}

/** Lines for stdout. Those about ports published before the network is up are held back until it is announced. */
class Report {
  #waiting: string | null = "";

  add(line: string): void {
    if (this.#waiting === null) announce(line);
    else this.#waiting += line;
  }

  begin(text: string): void {
    announce(text + (this.#waiting ?? ""));
    this.#waiting = null;
  }
}

function failGone(tap: string, why: string): never {
  return fail(new UserError(`${tap}: ${why}: the network of the namespace is gone`));
}

function announce(text: string): void {
  try {
    writeSync(Stdio.Output, text);
  } catch {
    // The network is up even if nobody reads this.
  }
}
