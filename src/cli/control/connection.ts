import { existsSync, readdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import * as v from "valibot";
import { errnoOf, UserError } from "../../base/errors.js";
import { socketPathOf } from "../../rpc/api-path.js";
import { apiDirectory } from "../../rpc/xdg.js";

/** For how long an answer may make us wait, in ms. */
const TIME_LIMIT = 10_000;

/** How all errors that a request is answered by begin. */
const BAD_REQUEST = "bad request: ";

/** An error that the API answered. */
export class ApiError extends Error {
  /** Name of an errno, where it was told. */
  readonly reason: string | null;

  constructor(message: string, reason: string | null) {
    super(message);
    this.reason = reason;
  }
}

const errorAnswer = v.object({
  error: v.object({ desc: v.string(), reason: v.optional(v.string()) }),
});

/**
 * The sockets of the networks that run as this user.
 * @param named a path, a process, or null for all that are found
 * @throws UserError when there is none
 */
export async function findSockets(named: string | null): Promise<readonly string[]> {
  if (named !== null) return [pathOf(named)];
  const directory = apiDirectory();
  const sockets = directory === null ? [] : socketsIn(directory);
  const live = await Promise.all(sockets.map(isLive));
  const found = sockets.filter((_, index) => live[index]);
  if (found.length > 0) return found;
  throw new UserError(
    "no network was found: start one by slipway run or slipway attach, or name its socket: --api-socket PATH",
  );
}

/** As findSockets(), where there must be one. */
export async function findSocket(named: string | null): Promise<string> {
  const [socket, ...others] = await findSockets(named);
  if (others.length === 0) return socket;
  const pids = [socket, ...others].map((each) => path.basename(each, ".sock"));
  throw new UserError(
    `several networks run, of processes ${pids.join(", ")}: name one: --api-socket ${pids[0]}`,
  );
}

/**
 * Asks at a socket.
 * @returns what the answer has as `return`
 * @throws ApiError for an error that was answered
 * @throws UserError when nobody answers, or not to us
 */
export async function request<Schema extends v.GenericSchema>(
  socket: string,
  execute: string,
  parameters: object,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const answer = parse(socket, await ask(socket, { execute, arguments: parameters }));
  const failure = v.safeParse(errorAnswer, answer);
  if (failure.success) {
    const { desc, reason = null } = failure.output.error;
    // Otherwise the request was not even read.
    if (!desc.startsWith(BAD_REQUEST)) throw new UserError(desc);
    throw new ApiError(desc, reason);
  }
  const result = v.safeParse(v.object({ return: schema }), answer);
  if (result.success) return result.output.return;
  throw new UserError(
    `${socket} does not answer ${execute} as Slipway does: is it another program's?`,
  );
}

function pathOf(named: string): string {
  if (!/^\d+$/.test(named)) return named;
  const directory = apiDirectory();
  const socket = directory === null ? null : socketPathOf(directory, named);
  if (socket !== null && existsSync(socket)) return socket;
  throw new UserError(
    `process ${named} serves no network with an API socket: see slipway status for those that do`,
  );
}

function socketsIn(directory: string): readonly string[] {
  try {
    const names = readdirSync(directory).filter((name) => /^\d+\.sock$/.test(name));
    return names.map((name) => path.join(directory, name));
  } catch {
    return [];
  }
}

/** What a killed process has left is taken away. */
function isLive(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => {
      if (errnoOf(error) === "ECONNREFUSED") unlinkSync(socket);
      resolve(false);
    });
  });
}

async function ask(path: string, what: object): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.setTimeout(TIME_LIMIT, () => socket.destroy(new Error("no answer")));
  socket.end(JSON.stringify(what));
  try {
    return await text(socket);
  } catch (error) {
    throw new UserError(`${path}: ${sentenceOf(errnoOf(error))}`);
  }
}

function parse(socket: string, answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    throw new UserError(`${socket} does not answer in JSON: is it another program's?`);
  }
}

function sentenceOf(code: string): string {
  switch (code) {
    case "ENOENT":
      return "there is no such socket: give that of --api-socket";
    case "ECONNREFUSED":
      return "nobody listens there any more: its network has ended";
    case "EACCES":
      return "not permitted: it belongs to another user";
    default:
      return `cannot be asked (${code})`;
  }
}
