import { closeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { ResolvConf } from "../dns/resolv-conf.js";
import { inheritedDescriptors } from "../sys/inherited.js";
import { keeperText } from "../sys/keeper.js";
import { native } from "../sys/native.js";
import { isInBackground } from "./background.js";
import { RESOLV_CONF } from "./guest-config.js";

/** How the launcher says that this process has mounts of its own: native/launcher/sandbox/namespaces.h. */
const OWN_ROOT = "own";

/** What the process still needs in the sandbox. */
export interface SandboxNeeds {
  /** The host's resolv.conf, if it is to be followed. */
  readonly host: ResolvConf | null;
  /** Path of the API's socket, which is removed at the end. */
  readonly apiSocket: string | null;
  /** Whether ports may be published later; keeps the capability for ports below 1024 where we have it. */
  readonly opensPorts: boolean;
  /** Whether a command is to be waited for and signalled. */
  readonly hasChild: boolean;
  /** Whom root becomes; absent or null: nobody else. */
  readonly user?: { readonly uid: number; readonly gid: number } | null;
  /** Inherited descriptors that are in use. */
  readonly inUse: readonly (number | null)[];
}

/** From now on the launcher's broker, if there is one, enters namespaces and starts children. */
export function joinBroker(): void {
  const { SLIPWAY_BROKER: fd } = process.env;
  if (fd !== undefined) native.useBroker(Number(fd));
}

/**
 * Gives up for good, on all threads, what relaying does not need: files, other processes, capabilities and most system
 * calls. Call it when everything is open, and before the guest's first frame is read.
 * @throws UserError when it cannot be done
 */
export function enterSandbox(needs: SandboxNeeds): void {
  const { SLIPWAY_BROKER: broker, SLIPWAY_ROOT: root = "", SLIPWAY_FDS: launched } = process.env;
  if (broker === undefined) {
    if (launched !== undefined) throw unprepared();
    log.warn("no sandbox: started without bin/slipway, which prepares it");
    return;
  }
  for (const fd of inheritedDescriptors()) if (!needs.inUse.includes(fd)) closeQuietly(fd);
  const keeps = keepOrEnd(needs);
  becomeUser(needs);
  lockDown(root, needs);
  // Only now: the keeper locks itself down meanwhile, which takes 0.5 ms as our own lock-down does.
  const confirmed = keeps ? native.confirmKeeper() : 0;
  if (confirmed < 0) throw sandboxFailure(confirmed);
}

/** Ends the launcher's broker, where there is no sandbox to enter. */
export function leaveBroker(): void {
  native.endBroker();
}

/**
 * Turns the broker into the keeper, or ends it when there is nothing to keep. In the background it is the parent of agents,
 * which end with it. @returns whether there is a keeper
 */
function keepOrEnd({ host, apiSocket }: SandboxNeeds): boolean {
  if (host === null && apiSocket === null && !isInBackground()) {
    native.endBroker();
    return false;
  }
  const result = native.becomeKeeper(RESOLV_CONF, apiSocket);
  if (result < 0) throw sandboxFailure(result);
  host?.followBy({ read: readKept });
  // Waits for the keeper, so that the socket is gone when this process is.
  if (apiSocket !== null) process.once("exit", () => native.endBroker());
  return true;
}

let keeperIsGone = false;

function readKept(): string | null {
  if (keeperIsGone) return null;
  try {
    return keeperText();
  } catch (error) {
    keeperIsGone = true;
    log.warn(`${RESOLV_CONF} is not followed any more: ${String(error)}`);
    return null;
  }
}

function becomeUser({ user = null }: SandboxNeeds): void {
  if (user === null) return;
  const result = native.becomeUser(user.uid, user.gid);
  if (result >= 0) return;
  throw new UserError(
    `cannot become user ${user.uid} (${getSystemErrorName(result)}): start it as root`,
  );
}

function lockDown(root: string, { opensPorts, hasChild, user = null }: SandboxNeeds): void {
  // Another user's threads have none to keep.
  const keepsPorts = opensPorts && user === null;
  if (root !== OWN_ROOT) warnOfRoot(root);
  else {
    const result = native.lockDown(true, keepsPorts, hasChild);
    if (result >= 0) return;
    const { step } = native.lastError();
    if (step !== "empty-root") throw sandboxFailure(result);
    warnOfRoot(`${step} ${-result}`);
  }
  const result = native.lockDown(false, keepsPorts, hasChild);
  if (result < 0) throw sandboxFailure(result);
}

/** The launcher cannot tell an option of COMMAND's, such as --network, from ours. */
function unprepared(): UserError {
  return new UserError(
    "the sandbox is not prepared: write -- before COMMAND, or run without it: --no-sandbox",
  );
}

/** @param reason the step of the launcher that failed, and its errno */
function warnOfRoot(reason: string): void {
  const [step = "", errno = ""] = reason.split(" ");
  const name = getSystemErrorName(-Number(errno));
  log.warn(
    `the sandbox has no empty root (${step}, ${name}), only its system call filter: slipway doctor shows what forbids user namespaces`,
  );
}

function sandboxFailure(result: number): UserError {
  const { step } = native.lastError();
  const name = getSystemErrorName(result);
  return new UserError(
    `cannot enter the sandbox (${step}, ${name}): to run without it: --no-sandbox`,
  );
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was closed by now.
  }
}
