import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { print } from "../../base/stdio.js";
import { carryOut } from "../../client/carry-out.js";
import { connect } from "../../client/connect.js";
import { formatAll } from "../../client/format.js";
import { Session } from "../../client/session.js";
import { openOrStart } from "../../client/start.js";
import { namedNamespace, nameOfMember } from "../../client/target.js";
import type { DaemonRequest, OutputFormat } from "../../commandline/requests.js";
import { Loop } from "../../loop/loop.js";
import { whenNamedRunIsUp } from "../../netns/run-process.js";
import { type DaemonPaths, daemonPaths } from "../../rpc/daemon-paths.js";
import { launchWith, missingOption, type Started } from "../configuration/settings.js";
import { formatCount } from "../control/units.js";
import { statusText } from "./daemon-status.js";

/** How often to check whether the daemon has stopped, and for how long, in ms. */
const STOP_INTERVAL = 20;
const STOP_LIMIT = 5_000;

/** `slipway network`, `ps`, `inspect` and `daemon start|stop|status`: asks the daemon and prints the answer. @throws UserError */
export async function askDaemon(request: DaemonRequest): Promise<void> {
  const loop = new Loop();
  loop.start();
  try {
    print(await answer(request, loop, daemonPaths()));
  } finally {
    loop.stop();
  }
}

async function answer(request: DaemonRequest, loop: Loop, paths: DaemonPaths): Promise<string> {
  if (request.action === "stop") return stop(loop, paths);
  if (request.action === "status") return status(loop, paths, request.output);
  const launch = request.action === "start" ? launchWith(request) : undefined;
  const session = await openOrStart(paths, loop, () => undefined, launch);
  session.onWarning = warn;
  try {
    if (request.action === "start") await checkStarted(session, request);
    return await carryOut(request, session, {
      connect: async (connection) => {
        const target = await withoutName(session, connection.target);
        const isRun = target !== connection.target;
        // A run without a member has its own name there, too.
        const name = connection.name ?? (isRun ? connection.target : null);
        return connect(session, { ...connection, target, name });
      },
      nameOfMember: async (text) => nameOfMember(session, await withoutName(session, text)),
    });
  } finally {
    session.close();
  }
}

/** The PID of COMMAND of a run with a network of its own, if no member has that name; otherwise the same text. */
async function withoutName(session: Session, text: string): Promise<string> {
  if (namedNamespace(text) !== null) return text;
  if ((await session.request("member.locate", { name: text })) !== null) return text;
  await whenNamedRunIsUp(text);
  const { processOfRun } = await import("../control/run-named.js");
  const pid = await processOfRun(text);
  return pid === null ? text : `${pid}`;
}

function warn(warning: string): void {
  log.warn("%s", warning);
}

/** The daemon may have been running before, with other options. @throws UserError */
async function checkStarted(session: Session, wanted: Started): Promise<void> {
  const status = await session.request("status", {});
  for (const warning of status.warnings) warn(warning);
  const missing = missingOption(wanted, status);
  if (missing === null) return;
  throw new UserError(
    `the daemon is already running, without ${missing}: slipway daemon stop, then start it again`,
  );
}

async function stop(loop: Loop, paths: DaemonPaths): Promise<string> {
  let hasEnded = false;
  const session = await Session.open(paths.socket, loop, () => {
    hasEnded = true;
  });
  if (session === null) return "the daemon is not running\n";
  const { members } = await session.request("status", {});
  await session.request("stop", {});
  for (let waited = 0; !hasEnded && waited < STOP_LIMIT; waited += STOP_INTERVAL)
    await delay(STOP_INTERVAL);
  session.close();
  if (hasEnded) return `the daemon has stopped${waiting(members)}\n`;
  throw new UserError(
    `the daemon has not stopped within ${STOP_LIMIT / 1000} s: see its log, or kill it`,
  );
}

/** @param members how many wait for the next daemon */
function waiting(members: number): string {
  if (members === 0) return "";
  const have = members === 1 ? "has" : "have";
  return `: ${formatCount(members, "member")} ${have} no network until slipway daemon start`;
}

async function status(loop: Loop, paths: DaemonPaths, output: OutputFormat): Promise<string> {
  const session = await Session.open(paths.socket, loop, () => undefined);
  if (session === null) throw new UserError("the daemon is not running: slipway daemon start");
  const report = await session.request("status", {});
  session.close();
  return formatAll([report], output, { table: () => statusText(report, Date.now() / 1000) });
}
