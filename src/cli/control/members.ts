import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import { LOOK, type Patience } from "../../client/patience.js";
import { Session } from "../../client/session.js";
import { findByName } from "../../config/names.js";
import { Loop } from "../../loop/loop.js";
import type { MemberReport } from "../../rpc/messages.js";
import { Epoll, Errno } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { socketPair } from "../../sys/sockets/socket.js";
import type { Place } from "./place.js";

/** A daemon that runs, and the members of its networks. */
export interface Daemon {
  readonly members: readonly MemberReport[];
  /** Waits until the daemon has kept what was changed, and leaves it. */
  close(): Promise<void>;
  /** The places of a member; that of its published ports comes first. */
  placesOf(member: MemberReport): readonly Place[];
}

/** @returns null when no daemon listens at the socket @throws UserError when it does not serve us */
export async function askMembers(socket: string): Promise<Daemon | null> {
  const loop = new Loop();
  loop.start();
  const session = await open(socket, loop);
  if (session === null) return null;
  const leave = (): void => {
    session.close();
    loop.stop();
  };
  try {
    const members = await session.request("member.list", {});
    return {
      members,
      placesOf: (member) => placesOf(session, loop, member),
      // The threads answer this one, too, and tell of their ports before.
      close: () =>
        session
          .request("member.list", {})
          .then(() => undefined)
          .finally(leave),
    };
  } catch (error) {
    leave();
    throw error;
  }
}

/** A member by name, id or process. */
export function memberNamed(
  members: readonly MemberReport[],
  text: string,
): MemberReport | undefined {
  return findByName(members, text) ?? members.find(({ pid }) => `${pid}` === text);
}

async function open(socket: string, loop: Loop): Promise<Session | null> {
  try {
    const session = await Session.open(socket, loop, () => undefined);
    if (session === null) loop.stop();
    return session;
  } catch (error) {
    loop.stop();
    throw error;
  }
}

function placesOf(session: Session, loop: Loop, { name, networks }: MemberReport): Place[] {
  const outward = networks.filter(({ internal }) => !internal);
  const inward = networks.filter(({ internal }) => internal);
  return [...outward, ...inward].map(({ network }) => ({
    label: `member ${name}`,
    identity: { socket: null, name, member_of: network },
    ask: (request) => ask(session, loop, { member: name, network }, request),
  }));
}

async function ask(
  session: Session,
  loop: Loop,
  place: { readonly member: string; readonly network: string },
  request: string,
): Promise<string> {
  const pair = socketPair();
  if (typeof pair === "number")
    throw new UserError(`cannot ask the daemon: ${getSystemErrorName(pair)}`);
  const [own, theirs] = pair;
  try {
    try {
      await session.request("member.api", place, theirs);
    } finally {
      native.close(theirs);
    }
    // A request has less than 4096 bytes, for which the socket has room.
    native.writeBytes(own, Buffer.from(request));
    return await readToEnd(own, loop, session.patience());
  } finally {
    native.close(own);
  }
}

/** @throws UserError when the daemon does not answer */
function readToEnd(fd: number, loop: Loop, patience: Patience): Promise<string> {
  const chunk = new Uint8Array(64 * 1024);
  const parts: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      try {
        patience.look();
      } catch (error) {
        end();
        reject(error);
      }
    }, LOOK);
    const end = (): void => {
      clearInterval(timer);
      loop.unwatch(fd);
    };
    const receive = (): void => {
      const length = native.readBytes(fd, chunk);
      if (length === -Errno.EAGAIN) return;
      if (length > 0) {
        parts.push(Buffer.from(chunk.subarray(0, length)));
        return;
      }
      end();
      // Promises do not run within a wake-up of the loop.
      setImmediate(() => resolve(Buffer.concat(parts).toString()));
    };
    loop.watch(fd, Epoll.In, receive);
  });
}
