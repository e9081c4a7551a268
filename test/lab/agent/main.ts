/**
 * Holds sockets in a namespace on behalf of a test, which talks to it over Node's message channel.
 * Runs as a separate program: `node main.ts`.
 */
import type { Failure, Operation, Parameters, Reply, Request, Result } from "./protocol.ts";
import * as tcp from "./tcp.ts";
import * as udp from "./udp.ts";

const handlers: {
  readonly [K in Operation]: (p: Parameters<K>) => Result<K> | Promise<Result<K>>;
} = {
  listen: tcp.listen,
  accept: tcp.accept,
  connect: tcp.connect,
  write: tcp.write,
  read: tcp.read,
  readToEnd: tcp.readToEnd,
  send: tcp.send,
  receive: tcp.receive,
  fill: tcp.fill,
  end: tcp.end,
  reset: tcp.reset,
  closed: tcp.closed,
  bindUdp: udp.bind,
  sendUdp: udp.send,
  receiveUdp: udp.receive,
  close(p) {
    tcp.close(p.id);
    udp.close(p.id);
  },
};

async function serve<K extends Operation>(request: Request<K>): Promise<Reply> {
  const { serial, operation, parameters } = request;
  const started = performance.now();
  try {
    return { serial, result: await handlers[operation](parameters) };
  } catch (error) {
    return { serial, error: failure(error, performance.now() - started) };
  }
}

function failure(error: unknown, elapsedMs: number): Failure {
  if (!(error instanceof Error)) return { code: "AGENT", message: String(error), elapsedMs };
  const code = "code" in error && typeof error.code === "string" ? error.code : "AGENT";
  return { code, message: error.message, elapsedMs };
}

process.on("message", async (request: Request) => {
  process.send?.(await serve(request));
});
process.on("disconnect", () => process.exit());
