import { setTimeout as delay } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { LONGEST_SOCKET_PATH } from "../config/constants.js";
import { daemonPid } from "../rpc/daemon-paths.js";
import {
  type DaemonEvent,
  LONGEST_LINE,
  type Method,
  type ParamsInput,
  PROTOCOL_VERSION,
  parseAnswer,
  parseEvent,
  STOPPING,
} from "../rpc/messages.js";
import type { Results } from "../rpc/reports.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { isUserOrRoot } from "../sys/peers/peer.js";
import { LineSocket, type Watcher } from "../sys/sockets/line-socket.js";
import { connectLocal } from "../sys/sockets/local-socket.js";
import { LOOK, Patience } from "./patience.js";

/**
 * Looks at a daemon without an answer: a minute. On a busy machine a request may take long, such as the first one, when
 * many members are restored.
 */
const MOST_LOOKS = 120;

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (reason: unknown) => void;
}

/** Why a session ended: the daemon was stopped on request, or the connection was lost. */
export type SessionEnd = "lost" | "stopped";

/** A connection to the daemon. */
export class Session {
  readonly #socket: LineSocket;
  readonly #pending: Pending[] = [];
  readonly #warnings = new Set<string>();
  /** Of the daemon's socket. */
  readonly #path: string;
  readonly #patience: Patience;
  /** Runs while a request is not answered. */
  #timer: NodeJS.Timeout | null = null;
  /**
   * Called with the events of a member whose TAPs this client keeps.
   * @param passed the descriptor that came along, which becomes the callee's; null: none did
   */
  onEvent: ((event: DaemonEvent, passed: number | null) => void) | null = null;
  #isStopping = false;
  /** Why the daemon does not serve us: an error that it sent before any request, or its silence. */
  #refusal: string | null = null;

  /** Called once with each sentence by which the daemon warns the user, before the answer. */
  onWarning: (warning: string) => void = () => undefined;

  private constructor(
    path: string,
    fd: number,
    watcher: Watcher,
    onEnd: (how: SessionEnd) => void,
  ) {
    this.#path = path;
    this.#patience = patienceWith(path);
    this.#socket = new LineSocket(fd, watcher, LONGEST_LINE, {
      // Node runs promise callbacks only outside of the loop's wake-up.
      onLine: (line, passed) => setImmediate(() => this.#onLine(line, passed)),
      onEnd: () => {
        this.#socket.close();
        setImmediate(() => {
          this.#rejectAll(this.#gone());
          onEnd(this.#isStopping ? "stopped" : "lost");
        });
      },
    });
  }

  /**
   * @param onEnd called when the connection ends, but not after close()
   * @returns null when no daemon listens there
   * @throws UserError when it cannot be connected to, is another user's, or does not accept
   */
  static async open(
    path: string,
    watcher: Watcher,
    onEnd: (how: SessionEnd) => void,
  ): Promise<Session | null> {
    const patience = patienceWith(path);
    let fd = connectLocal(path);
    // As many clients wait as may (unix(7)).
    while (fd === -Errno.EAGAIN) {
      await delay(LOOK);
      patience.look();
      fd = connectLocal(path);
    }
    if (fd === -Errno.ENOENT || fd === -Errno.ECONNREFUSED) return null;
    if (fd === -Errno.ENAMETOOLONG) {
      throw new UserError(
        `the path ${path} is too long for a socket, ${LONGEST_SOCKET_PATH} bytes at most: set XDG_RUNTIME_DIR to a shorter one`,
      );
    }
    if (fd < 0) {
      throw new UserError(
        `cannot connect to the daemon at ${path} (${getSystemErrorName(fd)}): slipway daemon stop, and try again`,
      );
    }
    const session = new Session(path, fd, watcher, onEnd);
    if (isUserOrRoot(session.#socket.peerUid)) return session;
    session.close();
    throw new UserError(
      `the daemon at ${path} is another user's: set XDG_RUNTIME_DIR to a directory of yours`,
    );
  }

  /**
   * @param passed a handle to pass with the request; stays the caller's
   * @throws UserError with the daemon's message, or when it does not answer: then the session is closed, without a call
   * of `onEnd`
   */
  request<M extends Method>(
    method: M,
    params: ParamsInput<M>,
    passed: number | null = null,
  ): Promise<Results[M]> {
    return new Promise((resolve, reject) => {
      if (this.#socket.isClosed) {
        reject(this.#gone());
        return;
      }
      this.#pending.push({ resolve, reject });
      this.#timer ??= setInterval(() => this.#look(), LOOK);
      this.#socket.send(JSON.stringify({ v: PROTOCOL_VERSION, method, params }), passed);
    });
  }

  /** For an answer that comes another way. */
  patience(): Patience {
    return patienceWith(this.#path);
  }

  /** Whether the daemon does not serve this process, and has said why. */
  get isRefused(): boolean {
    return this.#refusal !== null;
  }

  close(): void {
    this.#stopLooking();
    this.#socket.close();
  }

  #look(): void {
    try {
      this.#patience.look();
    } catch (error) {
      this.#refusal = error instanceof UserError ? error.message : null;
      this.close();
      this.#rejectAll(error);
    }
  }

  #stopLooking(): void {
    this.#patience.reset();
    clearInterval(this.#timer ?? undefined);
    this.#timer = null;
  }

  #onLine(line: string, passed: number | null): void {
    const event = parseEvent(line);
    if (event !== null && this.onEvent !== null) {
      this.onEvent(event, passed);
      return;
    }
    if (passed !== null) native.close(passed);
    if (line === STOPPING) {
      this.#isStopping = true;
      return;
    }
    const answer = parseAnswer(line);
    for (const warning of answer?.warnings ?? []) this.#warn(warning);
    const pending = this.#pending.shift();
    this.#patience.reset();
    if (this.#pending.length === 0) this.#stopLooking();
    if (pending === undefined) {
      if (answer !== null && "error" in answer) this.#refusal = answer.error.message;
      return;
    }
    if (answer === null)
      pending.reject(
        new UserError(
          "the daemon's answer is malformed: stop it with slipway daemon stop, and try again",
        ),
      );
    else if ("error" in answer) pending.reject(new UserError(answer.error.message));
    else pending.resolve(answer.result as never);
  }

  #warn(warning: string): void {
    if (this.#warnings.has(warning)) return;
    this.#warnings.add(warning);
    this.onWarning(warning);
  }

  #rejectAll(reason: unknown): void {
    this.#stopLooking();
    for (const { reject } of this.#pending.splice(0)) reject(reason);
  }

  #gone(): UserError {
    return new UserError(this.#refusal ?? "the daemon has ended: try again");
  }
}

function patienceWith(path: string): Patience {
  return new Patience({
    name: "the daemon",
    pid: () => daemonPid(path),
    mostLooks: MOST_LOOKS,
    advice: (pid) => `if it stays so, kill -KILL ${pid}, and try again`,
  });
}
