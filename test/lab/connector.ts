import { Socket } from "node:net";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";
import { node, root } from "./product.ts";
import type { Stage } from "./stage.ts";

interface Pending {
  resolve(socket: Socket): void;
  reject(error: Error): void;
}

/**
 * Connects to UNIX sockets as a process of a namespace: a socket belongs to the network namespace in which it was
 * made, whoever holds it later.
 */
export class Connector {
  readonly #process: Process;
  readonly #pending: Pending[] = [];

  private constructor(process: Process) {
    this.#process = process;
    process.child.on("message", (message: string, socket) => {
      const pending = this.#pending.shift();
      if (socket instanceof Socket) {
        socket.allowHalfOpen = true;
        pending?.resolve(socket);
      } else pending?.reject(new Error(message));
    });
    process.exit.then(() => {
      for (const { reject } of this.#pending) reject(new Error(process.describe()));
    });
  }

  static start(namespace: Namespace, stage: Stage): Connector {
    const program = join(root, "test/lab/agent/connector.ts");
    const argv = [stage.inside(node), stage.inside(program)];
    return new Connector(namespace.spawn(argv, { channel: true }));
  }

  /** @param path as processes of the namespace see it. */
  connect(path: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#process.child.send(path, (error) => error && reject(error));
    });
  }

  async close(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
