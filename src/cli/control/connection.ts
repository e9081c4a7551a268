import { existsSync, readdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import * as v from "valibot";
import { errnoOf, UserError } from "../../base/errors.js";
import { socketPathOf } from "../../rpc/api-path.js";
import { apiDirectory } from "../../rpc/xdg.js";

/** How long an answer may take, in ms. */
const TIME_LIMIT = 10_000;

/** How every error begins that the API reports of a request it has read. */
const BAD_REQUEST = "bad request: ";

/** An error that the API reports of a request. */
export class ApiError extends Error {
  /** Name of an errno, such as EADDRINUSE; null: the answer has none. */
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
 * Paths of the API sockets of this user's running networks.
 * @param named a path, or a PID; null: all that are found
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
    "no running network found: start one with slipway run or slipway attach, or name its socket with --api-socket PATH",
  );
}

/** The same where exactly one is meant. @throws UserError when there are several, too */
export async function findSocket(named: string | null): Promise<string> {
  const [socket, ...others] = await findSockets(named);
  if (others.length === 0) return socket;
  const pids = [socket, ...others].map((each) => path.basename(each, ".sock"));
  throw new UserError(
    `several networks are running, of processes ${pids.join(", ")}: choose one, as in --api-socket ${pids[0]}`,
  );
}

/**
 * Sends a request to an API socket.
 * @param execute name of the request
 * @param schema that the answer's `return` must have
 * @returns the answer's `return`
 * @throws ApiError when the answer is an error
 * @throws UserError when the socket does not answer, refuses this client, or does not speak Slipway's API
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
    // Any other error refuses the client, whatever it asks.
    if (!desc.startsWith(BAD_REQUEST)) throw new UserError(desc);
    throw new ApiError(desc, reason);
  }
  const result = v.safeParse(v.object({ return: schema }), answer);
  if (result.success) return result.output.return;
  throw new UserError(
    `${socket} does not answer ${execute} as Slipway does: does it belong to another program?`,
  );
}

function pathOf(named: string): string {
  if (!/^\d+$/.test(named)) return named;
  const directory = apiDirectory();
  const socket = directory === null ? null : socketPathOf(directory, named);
  if (socket !== null && existsSync(socket)) return socket;
  throw new UserError(
    `process ${named} has no API socket: slipway status lists the processes that have one`,
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

/** Whether somebody listens at a socket. Removes one that a killed process has left. */
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
    throw new UserError(`${socket} does not answer in JSON: does it belong to another program?`);
  }
}

function sentenceOf(code: string): string {
  switch (code) {
    case "ENOENT":
      return "there is no such socket: give the path of the network's API socket";
    case "ECONNREFUSED":
      return "nobody listens there any more, as its network has ended: see slipway status";
    case "EACCES":
      return "not permitted: it belongs to another user";
    default:
      return `cannot query it (${code})`;
  }
}
