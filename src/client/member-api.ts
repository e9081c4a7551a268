import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import type { Loop } from "../loop/loop.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { socketPair } from "../sys/sockets/socket.js";
import { LOOK, type Patience } from "./patience.js";
import type { Session } from "./session.js";

/**
 * Asks about a member's guest as at an API socket (docs/api.md).
 * @param place the member; `network`: at which attachment, null: at the one whose ports are published
 * @param request as JSON, less than 4096 bytes
 * @returns the answer, as JSON
 * @throws UserError
 */
export async function askMember(
  session: Session,
  loop: Loop,
  place: { readonly member: string; readonly network: string | null },
  request: string,
): Promise<string> {
  const pair = socketPair();
  if (typeof pair === "number") {
    throw new UserError(`cannot ask the daemon (${getSystemErrorName(pair)}): ulimit -n`);
  }
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
