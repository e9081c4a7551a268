import { logText, UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import {
  checkParams,
  type DaemonEvent,
  isMethod,
  LONGEST_LINE,
  type Method,
  type Params,
  PROTOCOL_VERSION,
  parseRequest,
  type Request,
  STOPPING,
} from "../rpc/messages.js";
import type { Results } from "../rpc/reports.js";
import { Epoll, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import type { Audience, RefusalReason } from "../sys/peers/access.js";
import { Gate } from "../sys/peers/gate.js";
import { isUserOrRoot } from "../sys/peers/peer.js";
import { LineSocket, type Watcher } from "../sys/sockets/line-socket.js";
import { acceptLocal } from "../sys/sockets/local-socket.js";
import { listenPrivately, removeQuietly } from "../sys/sockets/private-socket.js";

/** Every `slipway run` on a network stays connected until it ends. */
const MOST_CLIENTS = 1024;
const ACCEPT_BATCH = 16;

/** A client of the daemon. What it was given ends with its connection. */
export interface Client {
  /** Ids of members that end with this client. */
  readonly members: Set<string>;
  /** Its attachments whose TAPs have not arrived, which end with it, too; by member and network. */
  readonly pending: Map<string, PendingAttachment>;
  /** The process that connected; null: it has ended, or is not known. */
  readonly process: () => number | null;
  /** @param tap goes along; stays the caller's */
  readonly tell: (event: DaemonEvent, tap: number | null) => void;
  /** Ends the connection. A client that still needs the daemon connects again. */
  readonly drop: () => void;
}

/** An attachment that no thread serves yet. */
export interface PendingAttachment {
  /** The member's id. */
  readonly member: string;
  readonly network: string;
}

/** A client and its queue. */
interface QueuedClient extends Client {
  /** Resolves when all its requests so far are carried out. */
  done: Promise<void>;
}

/** Carries out requests. A UserError is answered to the client. */
export interface Methods {
  /**
   * @param passed the descriptor that came along, which becomes the callee's; null: none did
   * @throws UserError
   */
  call<M extends Method>(
    method: M,
    params: Params<M>,
    client: Client,
    passed: number | null,
  ): Promise<Results[M]>;
  /** Sentences by which the answer warns the user. */
  warningsFor(method: string): readonly string[];
  onClientGone(client: Client): void;
}

/** Takes requests at the daemon's socket, and answers each client's in their order. */
export class Server {
  /** Path of the socket, to be removed at the end; null: the socket is the service manager's. */
  readonly #path: string | null;
  readonly #listener: number;
  /** Clients accepted at once. The service manager's socket may block: of it one for each event. */
  readonly #acceptBatch: number;
  readonly #watcher: Watcher;
  readonly #methods: Methods;
  readonly #gate: Gate;
  readonly #sockets = new Set<LineSocket>();

  /**
   * The caller has the daemon's lock: a socket that is left at `path` is removed, as nobody listens on it.
   * @param listener a listening socket, which becomes the server's; null: one is made at `path`
   * @param audience whom it serves
   * @throws UserError when the socket cannot be made
   */
  constructor(
    path: string,
    listener: number | null,
    watcher: Watcher,
    methods: Methods,
    audience: Audience,
  ) {
    this.#path = listener === null ? path : null;
    this.#watcher = watcher;
    this.#methods = methods;
    this.#gate = new Gate("the daemon's socket", audience);
    this.#listener = listener ?? listenPrivately("socket", path, Socket.Stream);
    this.#acceptBatch = listener === null ? ACCEPT_BATCH : 1;
    watcher.watch(this.#listener, Epoll.In, () => this.#accept());
  }

  close(): void {
    if (this.#path !== null) removeQuietly(this.#path);
    this.#watcher.unwatch(this.#listener);
    native.close(this.#listener);
    this.#gate.close();
    for (const socket of this.#sockets) {
      socket.send(STOPPING);
      socket.close();
    }
  }

  #accept(): void {
    for (let count = 0; count < this.#acceptBatch; count += 1) {
      const fd = acceptLocal(this.#listener);
      if (fd < 0) return;
      // #syscalls daemon: getsockopt(1=SOL_SOCKET;2=SO_PEERCRED)
      if (isUserOrRoot(native.peerUid(fd))) this.#admit(fd);
      else native.close(fd);
    }
  }

  #admit(fd: number): void {
    const reason = this.#gate.refusalReason(fd);
    if (reason !== null) this.#gate.refuseSender(fd, reason, refusalOf(reason));
    else if (this.#sockets.size < MOST_CLIENTS) this.#serve(fd);
    else native.close(fd);
  }

  #serve(fd: number): void {
    const client: QueuedClient = {
      members: new Set(),
      pending: new Map(),
      done: Promise.resolve(),
      process: () => socket.peerPid,
      tell: (event, tap) => socket.send(JSON.stringify(event), tap),
      drop: () => doInTurn(client, end),
    };
    const socket = new LineSocket(fd, this.#watcher, LONGEST_LINE, {
      onLine: (line, passed) => {
        // Nobody waits any more, and a command that was told of a failure must not take effect.
        if (!socket.isPeerGone) {
          doInTurn(client, async () => socket.send(await this.#answer(line, client, passed)));
        } else if (passed !== null) native.close(passed);
      },
      onEnd: () => doInTurn(client, end),
    });
    const end = (): void => {
      if (!this.#sockets.delete(socket)) return;
      socket.close();
      this.#methods.onClientGone(client);
    };
    this.#sockets.add(socket);
  }

  async #answer(line: string, client: Client, passed: number | null): Promise<string> {
    const request = parseRequest(line);
    const found = request === null ? [] : this.#methods.warningsFor(request.method);
    const warnings = found.length === 0 ? undefined : found;
    try {
      return JSON.stringify({ result: await this.#call(request, client, passed), warnings });
    } catch (error) {
      return JSON.stringify({ error: { message: messageOf(error) }, warnings });
    }
  }

  #call(request: Request | null, client: Client, passed: number | null): Promise<unknown> {
    let isPassed = false;
    try {
      if (request === null)
        throw new UserError(
          "not a request: send one JSON object with v, method and params on a line",
        );
      const { version, method, params } = request;
      if (version !== PROTOCOL_VERSION && !OF_ALL_VERSIONS.includes(method)) {
        throw new UserError(
          `the daemon speaks version ${PROTOCOL_VERSION} of its protocol, this command ${version}: slipway daemon stop, and try again`,
        );
      }
      if (!isMethod(method)) throw new UserError(`the daemon knows no method ${method}`);
      const checked = checkParams(method, params);
      if (typeof checked === "string") throw new UserError(`${method}: ${checked}`);
      isPassed = true;
      return this.#methods.call(method, checked, client, passed);
    } finally {
      if (!isPassed && passed !== null) native.close(passed);
    }
  }
}

/** A client of another version must be able to see the daemon and to stop it, as it is told to. */
const OF_ALL_VERSIONS: readonly string[] = ["status", "stop"];

/** What the client is told. What is no UserError is a fault of ours, and is logged. */
function messageOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  log.error("a request failed: %s", logText(error));
  return "the daemon failed at this request: see its log";
}

/** Runs a task after the client's requests so far, and outside of the wake-up, where promises are not served. */
function doInTurn(client: QueuedClient, task: () => void | Promise<void>): void {
  setImmediate(() => {
    client.done = client.done.then(task);
  });
}

function refusalOf(reason: RefusalReason): Buffer {
  const message = `the daemon ${REASONS[reason]}`;
  return Buffer.from(`${JSON.stringify({ error: { message } })}\n`);
}

const OTHER_ADVICE =
  "run it outside (for hooks and plugins of containers: slipway daemon stop, slipway daemon start --serve-containers)";

const REASONS: Readonly<Record<RefusalReason, string>> = {
  network: `serves its own network namespace only, and this client is in another: ${OTHER_ADVICE}`,
  user: "does not serve this client's user namespace: run it outside",
  PID: `does not serve this client's PID namespace: ${OTHER_ADVICE}`,
  process: "cannot identify the client: the process that connects must live until it is answered",
};
