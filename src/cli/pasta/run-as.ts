import { readFileSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { effectiveIds } from "../../netns/spawn.js";
import { isInitialNamespace } from "../../rpc/safe-directory.js";

/** Ids of a process. */
export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Of systems without an account of that name: overflowuid of proc(5). */
const NOBODY = 65_534;

/**
 * Whom this process becomes when everything is open: who `--runas` names; without it root of the machine, but not of a
 * user namespace, becomes nobody.
 * @returns null: it stays who it is
 * @throws UserError for a user that the machine does not have
 */
export function userAfter(option: string | null): Ids | null {
  if (option !== null) return named(option);
  if (effectiveIds().uid !== 0 || !isInitialNamespace()) return null;
  log.info("started as root: becomes nobody");
  const { uid = NOBODY, gid = NOBODY } = accountOf("nobody") ?? {};
  return { uid, gid };
}

/**
 * For a command, which is the user's who started this process: only he can end it.
 * @throws UserError when the option names another
 */
export function refuseOtherUser(option: string | null): void {
  const own = effectiveIds();
  const { uid, gid } = option === null ? own : named(option);
  if (uid === own.uid && gid === own.gid) return;
  throw new UserError(
    `Invalid --runas option: ${option}: a COMMAND is run by who starts it: start it as that user`,
  );
}

/** @param text UID, UID:GID, LOGIN or LOGIN:GROUP */
function named(text: string): Ids {
  const [user = "", group = null] = text.split(":", 2);
  const account = accountOf(user);
  const uid = idOf(user) ?? account?.uid;
  const gid = group === null ? (account?.gid ?? uid) : (idOf(group) ?? groupOf(group));
  if (uid === undefined || gid === undefined || gid === null) {
    throw new UserError(`Invalid --runas option: ${text}: give UID, UID:GID, LOGIN or LOGIN:GROUP`);
  }
  return { uid, gid };
}

/** The last number means none (setresuid(2)). */
function idOf(text: string): number | null {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  return id < 2 ** 32 - 1 ? id : null;
}

/** A user by name or number, passwd(5). */
function accountOf(user: string): Ids | null {
  for (const line of readText("/etc/passwd").split("\n")) {
    const [name, , uid = "", gid = ""] = line.split(":");
    if (name === user || uid === user)
      return { uid: idOf(uid) ?? NOBODY, gid: idOf(gid) ?? NOBODY };
  }
  return null;
}

/** A group by name, group(5). */
function groupOf(group: string): number | null {
  for (const line of readText("/etc/group").split("\n")) {
    const [name, , gid = ""] = line.split(":");
    if (name === group) return idOf(gid);
  }
  return null;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
