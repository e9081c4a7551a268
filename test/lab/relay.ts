import { createConnection, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A relay for TCP in the test's own process: it delays, goes silent, or cuts. */
export class Relay {
  readonly port: number;
  /** Each way, in ms. */
  delayMs = 0;
  /** How many connections there have been. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #silent = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Listens on 127.0.0.1. */
  static async open(target: { address: string; port: number }): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const at = server.address();
    if (at === null || typeof at === "string") throw new Error("no port");
    const relay = new Relay(server, at.port);
    server.on("connection", (client) => relay.#relay(client, target));
    return relay;
  }

  /** What is connected stays so, and nothing gets through: neither data nor the end of a connection. */
  silence(): void {
    this.#silent = true;
  }

  /** Only for what connects from now on: what was silenced stays so, as its data is lost. */
  speak(): void {
    this.#silent = false;
  }

  /** Resets everything that is connected. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #relay(client: Socket, { address, port }: { address: string; port: number }): void {
    this.connections += 1;
    const server = createConnection(port, address);
    const pair = { isLost: false };
    this.#pass(client, server, pair);
    this.#pass(server, client, pair);
  }

  #pass(from: Socket, to: Socket, pair: { isLost: boolean }): void {
    this.#sockets.add(from);
    /** Order is kept: each waits for the one before. */
    let last: Promise<void> = Promise.resolve();
    const later = (action: () => void): void => {
      pair.isLost ||= this.#silent;
      if (pair.isLost) return;
      const due = delay(this.delayMs);
      last = Promise.all([last, due]).then(action);
    };
    from.on("data", (bytes) => later(() => to.write(bytes)));
    from.on("end", () => later(() => to.end()));
    from.on("error", () => later(() => to.resetAndDestroy()));
    from.on("close", () => this.#sockets.delete(from));
  }
}
