import { UserError } from "../base/errors.js";
import { isPid } from "../config/names.js";
import {
  isBeingStarted,
  notStarted,
  type RunProcess,
  runProcess,
  whileStarting,
} from "../netns/run-process.js";
import { netnsOf } from "../rpc/namespaces.js";
import type { LocatedMember } from "../rpc/reports.js";
import type { Session } from "./session.js";

/** Sends requests to the daemon. */
export type Requests = Pick<Session, "request">;

/** By what the daemon knows a member that the user has named, also by a PID. */
export type NameOfMember = (text: string) => Promise<string>;

/** A network namespace that a user has named. */
export interface Target {
  readonly netns: string;
  /** The process that stands for it; null: a file does. */
  readonly pid: number | null;
}

/** The namespace of a target that is a path or a pid; null: the target is the name of a member. */
export function namedNamespace(target: string): Target | null {
  if (target.includes("/")) return { netns: target, pid: null };
  return isPid(target) ? targetOf(Number(target)) : null;
}

/**
 * The namespace that is meant by a path, by the name of a member, or by a PID: also that of a `slipway run`, which means
 * its COMMAND. Waits for a command that is being started.
 * @throws UserError when there is no such member, or its start takes too long
 */
export async function locate(session: Requests, target: string): Promise<Target> {
  const named = namedNamespace(target);
  if (named?.pid === null) return named;
  const { run, member } = await find(session, target, true);
  if (named !== null && run.kind === "other") return named;
  if (member !== null && member.netns !== null) return { netns: member.netns, pid: member.pid };
  if (run.kind === "running") return targetOf(run.command);
  if (named === null) {
    throw new UserError(
      `there is no member ${target}: slipway ps shows all members, slipway status all runs`,
    );
  }
  throw notStarted(Number(target));
}

/** By what the daemon knows the member that locate() would find; the same text if it knows none. */
export async function nameOfMember(session: Requests, text: string): Promise<string> {
  const { run, member } = await find(session, text, false);
  if (member !== null) return member.id;
  return run.kind === "running" ? `${run.command}` : text;
}

interface Found {
  readonly run: RunProcess;
  readonly member: LocatedMember | null;
}

async function find(session: Requests, text: string, waits: boolean): Promise<Found> {
  const params = { ...(isPid(text) ? { process: Number(text) } : { name: text }), waits };
  const look = async (): Promise<Found> => {
    // Before the daemon is asked: COMMAND on a network starts after its run has joined.
    const run = lookAt(text);
    // The process itself is meant.
    if (isPid(text) && run.kind === "other") return { run, member: null };
    return { run, member: await session.request("member.locate", params) };
  };
  return whileStarting(look, ({ run, member }) => member === null && run.kind === "starting");
}

function lookAt(text: string): RunProcess {
  if (isPid(text)) return runProcess(Number(text));
  return { kind: isBeingStarted(text) ? "starting" : "other" };
}

function targetOf(pid: number): Target {
  return { netns: netnsOf(pid), pid };
}
