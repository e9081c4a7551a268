import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Namespace } from "../namespace.ts";
import type { Process } from "../process.ts";
import { node, root } from "../product.ts";
import type { Stage } from "../stage.ts";
import type {
  Digest,
  Endpoint,
  Failure,
  Operation,
  Parameters,
  Reply,
  Request,
  Result,
} from "./protocol.ts";

/** The error of an agent's system call. */
export class SocketError extends Error {
  override readonly name = "SocketError";
  /** errno name, such as ECONNREFUSED */
  readonly code: string;
  /** from the request to the failure, measured in the agent */
  readonly elapsedMs: number;

  constructor(failure: Failure) {
    super(failure.message);
    this.code = failure.code;
    this.elapsedMs = failure.elapsedMs;
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Holds sockets in a namespace, so that a test has both ends of a connection at hand. */
export class Agent {
  readonly process: Process;
  readonly #pending = new Map<number, Pending>();
  #serial = 0;

  private constructor(process: Process) {
    this.process = process;
    process.child.on("message", (reply: Reply) => this.#settle(reply));
    process.exit.then(() => this.#abandon());
  }

  static async start(namespace: Namespace, stage: Stage): Promise<Agent> {
    const program = join(root, "test/lab/agent/main.ts");
    const process = namespace.spawn([stage.inside(node), stage.inside(program)], { channel: true });
    return new Agent(process);
  }

  /** A TCP listener; see {@link Listener.accept}. Port 0: any. */
  async listen(address: string, port = 0): Promise<Listener> {
    const { id, port: bound } = await this.ask("listen", { address, port, service: "accept" });
    return new Listener(this, id, { address, port: bound });
  }

  /** A TCP server that echoes; returns where it listens. */
  async echo(address: string, port = 0): Promise<Endpoint> {
    const { port: bound } = await this.ask("listen", { address, port, service: "echo" });
    return { address, port: bound };
  }

  /** @throws SocketError */
  async connect({ address, port }: Endpoint): Promise<Connection> {
    const { id, local } = await this.ask("connect", { address, port });
    return new Connection(this, id, local);
  }

  /** The error of a connection attempt that must fail. */
  async refusal(endpoint: Endpoint): Promise<SocketError> {
    let own: Endpoint;
    try {
      await using connection = await this.connect(endpoint);
      own = connection.client;
    } catch (error) {
      if (error instanceof SocketError) return error;
      throw error;
    }
    // The source address shows the way it took.
    const { address, port } = endpoint;
    throw new Error(`connected to ${address} port ${port} from ${own.address} port ${own.port}`);
  }

  /** A UDP socket. */
  async udp(address: string, port = 0): Promise<UdpSocket> {
    const { id, port: bound } = await this.ask("bindUdp", { address, port, service: "accept" });
    return new UdpSocket(this, id, { address, port: bound });
  }

  /** A UDP server that echoes; returns where it listens. */
  async echoUdp(address: string): Promise<Endpoint> {
    const { port } = await this.ask("bindUdp", { address, port: 0, service: "echo" });
    return { address, port };
  }

  async close(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Sends one request and waits for its answer, at most `withinMs`. */
  async ask<K extends Operation>(
    operation: K,
    parameters: Parameters<K>,
    withinMs = 30_000,
  ): Promise<Result<K>> {
    this.#serial += 1;
    const serial = this.#serial;
    const request: Request<K> = { serial, operation, parameters };
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(serial, { resolve, reject });
      this.process.child.send(request, (error) => error && reject(error));
    });
    const timer = new AbortController();
    const late = delay(withinMs, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`${operation}: no answer within ${withinMs} ms`);
    });
    // Aborted when the answer comes first.
    late.catch(() => undefined);
    try {
      // The type of the result is tied to that of the request by protocol.ts, on both sides.
      return (await Promise.race([answer, late])) as Result<K>;
    } finally {
      timer.abort();
      this.#pending.delete(serial);
    }
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.serial);
    if ("error" in reply) pending?.reject(new SocketError(reply.error));
    else pending?.resolve(reply.result);
  }

  #abandon(): void {
    for (const { reject } of this.#pending.values()) {
      reject(new Error(`the agent ended: ${this.process.describe()}`));
    }
  }
}

/** The handles that tests use instead of sockets. */
abstract class Handle {
  protected readonly agent: Agent;
  protected readonly id: number;

  constructor(agent: Agent, id: number) {
    this.agent = agent;
    this.id = id;
  }

  close(): Promise<void> {
    return this.agent.ask("close", { id: this.id });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export class Listener extends Handle {
  readonly endpoint: Endpoint;

  constructor(agent: Agent, id: number, endpoint: Endpoint) {
    super(agent, id);
    this.endpoint = endpoint;
  }

  async accept(): Promise<Connection> {
    const { id, peer } = await this.agent.ask("accept", { id: this.id });
    return new Connection(this.agent, id, peer);
  }
}

/** Reads nothing unless asked to. */
export class Connection extends Handle {
  /** of a connection made: the local end; of one accepted: the peer's */
  readonly client: Endpoint;

  constructor(agent: Agent, id: number, client: Endpoint) {
    super(agent, id);
    this.client = client;
  }

  write(text: string): Promise<void> {
    return this.agent.ask("write", { id: this.id, data: Buffer.from(text) });
  }

  /** Exactly this many bytes, as text. */
  async read(bytes: number): Promise<string> {
    return Buffer.from(await this.agent.ask("read", { id: this.id, bytes })).toString();
  }

  async readToEnd(): Promise<string> {
    return Buffer.from(await this.agent.ask("readToEnd", { id: this.id })).toString();
  }

  /** Sends random bytes, with this many pauses on average, at random. */
  send(bytes: number, pauses = 0): Promise<Digest> {
    return this.agent.ask("send", { id: this.id, bytes, pauses }, 120_000);
  }

  /** Reads to the end; with pauses, if the number of bytes is given. */
  receive(bytes = 1, pauses = 0): Promise<Digest> {
    return this.agent.ask("receive", { id: this.id, bytes, pauses }, 120_000);
  }

  /**
   * Sends until the kernel has accepted nothing for `quietMs`, at most `limit` bytes; returns the bytes accepted.
   * @param chunk bytes given to the kernel at once, which sends them as they come
   */
  async fill(limit: number, quietMs = 1_000, chunk = 65_536): Promise<number> {
    const parameters = { id: this.id, quietMs, limit, chunk };
    return (await this.agent.ask("fill", parameters, 120_000)).bytes;
  }

  /** Closes the sending side. */
  end(): Promise<void> {
    return this.agent.ask("end", { id: this.id });
  }

  /** Closes with RST. */
  reset(): Promise<void> {
    return this.agent.ask("reset", { id: this.id });
  }

  /** Reads until the connection is closed; the code of the error that closed it, or null. */
  async closed(): Promise<string | null> {
    return (await this.agent.ask("closed", { id: this.id })).code;
  }
}

export class UdpSocket extends Handle {
  readonly endpoint: Endpoint;

  constructor(agent: Agent, id: number, endpoint: Endpoint) {
    super(agent, id);
    this.endpoint = endpoint;
  }

  send(to: Endpoint, text: string): Promise<void> {
    const { address, port } = to;
    return this.agent.ask("sendUdp", { id: this.id, address, port, data: Buffer.from(text) });
  }

  async receive(withinMs = 30_000): Promise<{ text: string; from: Endpoint }> {
    const { data, from } = await this.agent.ask("receiveUdp", { id: this.id }, withinMs);
    return { text: Buffer.from(data).toString(), from };
  }
}
