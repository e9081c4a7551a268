import { writeSync } from "node:fs";
import { constants } from "node:os";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { Loop } from "../loop.js";
import { ResolvConf } from "../service/resolvconf.js";
import { native } from "../sys/native.js";
import { announcement } from "./announcement.js";
import { openApiSocket } from "./api-socket.js";
import { openCapture } from "./capture.js";
import type { AttachConfig } from "./command-line.js";
import { fail } from "./exit.js";
import { adoptInherited, ignoredSignals } from "./inherited.js";
import { nameOf, openLink } from "./link.js";
import { startLogging } from "./logging.js";
import { processOf, watchNamespaceFile } from "./netns-file.js";
import { guestConfig, hostnameOf, RESOLV_CONF } from "./network.js";
import { startPublishing } from "./publish.js";
import { enterSandbox, joinBroker, leaveBroker } from "./sandbox.js";
import { printStatistics } from "./statistics.js";

const STDOUT = 1;
const READY = Buffer.from("1");
const END_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * `slipway attach` and `slirp4netns`: serves a namespace until its process dies, the exit-fd tells
 * or a signal comes, then ends this process with 0.
 * @throws UserError before the network is ready; the ready-fd is not written then
 */
export async function attach(options: AttachConfig): Promise<void> {
  startLogging(options.log);
  joinBroker();
  const { exitFd, readyFd, target } = options;
  const endings: number[] = [];
  if (readyFd !== null) adoptInherited("--ready-fd", readyFd);
  if (exitFd !== null) {
    adoptInherited("--exit-fd", exitFd);
    endings.push(exitFd);
  }
  const exitWith = options.exitWithNetns && target.kind === "namespace" ? target.netns : null;
  const pid = target.pid ?? (exitWith === null ? null : processOf(exitWith));
  const pidfd = pid === null ? null : openProcess(pid);
  if (pidfd !== null) endings.push(pidfd);

  const { pcap } = options;
  const capture = pcap === null ? null : openCapture(pcap, options.tap);
  const host = new ResolvConf(RESOLV_CONF);
  const config = guestConfig(options.network, host, hostnameOf(target.pid));
  const link = await openLink(options, config);
  // What had its number by then may have been another's namespace.
  if (pid !== null && pidfd !== null && native.pidfdSignal(pidfd, 0) < 0) throw doesNotExist(pid);
  const loop = new Loop();
  const onGone = (why: string) =>
    fail(`${options.tap}: ${why}: the network of the namespace is gone`, 1);
  const guest = loop.addGuest(link.tap, config, onGone, capture);
  link.start(loop, guest);
  let published = "";
  let report = (line: string): void => {
    published += line;
  };
  if (target.kind === "namespace") {
    startPublishing(guest, target, options.publish, (line) => report(line));
  }
  const end = (why: string): void => {
    log.info("%s is down: %s", options.tap, why);
    if (options.stats) printStatistics(guest);
    loop.stop();
    process.exit(0);
  };
  for (const fd of endings) {
    // EPERM: a file that is always ready has no events.
    const why = fd === exitFd ? "the exit-fd tells" : "its process has ended";
    if (loop.watchFd(fd, () => end(why)) < 0)
      throw new UserError(`--exit-fd ${fd} is a file: give a pipe`);
  }
  if (exitWith !== null && pidfd === null) {
    watchNamespaceFile(exitWith, () => end("the file of its namespace is gone"));
  }
  for (const signal of END_SIGNALS) {
    if (!ignoredSignals().includes(constants.signals[signal])) process.on(signal, end);
  }
  loop.start();
  const subject = { guest, tap: options.tap, pid: target.pid };
  const apiSocket = await openApiSocket(options.apiSocket, loop, subject, options.maxApiClients);
  const followed = config.dns === null ? null : host;
  const inUse = [readyFd, exitFd, target.kind === "tapfd" ? target.fd : null];
  const opensPorts = apiSocket !== null || options.publish.auto !== null;
  if (options.sandbox)
    enterSandbox({ host: followed, apiSocket, opensPorts, hasChild: false, inUse });
  else leaveBroker();
  announce(announcement(options, config) + published);
  report = announce;
  log.info("%s is up: %s", options.tap, nameOf(target));
  if (readyFd !== null) tellReady(readyFd);
}

/** A pidfd, so that the end of the process is seen and its number is not taken for another's. */
function openProcess(pid: number): number {
  const pidfd = native.pidfdOpen(pid);
  if (pidfd < 0) throw doesNotExist(pid);
  return pidfd;
}

function doesNotExist(pid: number): UserError {
  return new UserError(`process ${pid} does not exist: give the PID of a running process`);
}

function announce(text: string): void {
  try {
    writeSync(STDOUT, text);
  } catch {
    // The network is up, whether or not somebody reads that.
  }
}

function tellReady(fd: number): void {
  // Nobody reads any more: then nobody waits, and the exit-fd or a signal will tell.
  native.writeBytes(fd, READY);
  native.close(fd);
}
