import { once } from "node:events";
import net from "node:net";
import { setTimeout as delay, setImmediate as immediate } from "node:timers/promises";
import { Handles } from "./handles.ts";
import type { Digest, Endpoint, Parameters, Result } from "./protocol.ts";
import { Digester, RandomStream } from "./random.ts";

interface Listener {
  readonly server: net.Server;
  /** accepted and not asked for yet */
  readonly waiting: net.Socket[];
}

const listeners = new Handles<Listener>("listener");
const connections = new Handles<net.Socket>("connection");

// Connections are read only when a test asks: a test that does not is a slow reader.
const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true } as const;

export async function listen(p: Parameters<"listen">): Promise<Result<"listen">> {
  const server = net.createServer(options);
  const waiting: net.Socket[] = [];
  server.on("connection", (socket) => {
    keepErrors(socket);
    if (p.service === "echo") {
      socket.pipe(socket);
      return;
    }
    waiting.push(socket);
    server.emit("waiting");
  });
  server.listen({ host: p.address, port: p.port, backlog: 4096 });
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return { id: listeners.add({ server, waiting }), port };
}

export async function accept(p: Parameters<"accept">): Promise<Result<"accept">> {
  const { server, waiting } = listeners.get(p.id);
  for (;;) {
    const socket = waiting.shift();
    if (socket !== undefined) {
      const peer = endpoint(socket.remoteAddress, socket.remotePort);
      return { id: connections.add(socket), peer };
    }
    await once(server, "waiting");
  }
}

export async function connect(p: Parameters<"connect">): Promise<Result<"connect">> {
  const started = performance.now();
  const socket = net.connect({ ...options, host: p.address, port: p.port });
  await once(socket, "connect");
  const elapsedMs = performance.now() - started;
  keepErrors(socket);
  const local = endpoint(socket.localAddress, socket.localPort);
  return { id: connections.add(socket), local, elapsedMs };
}

export function write(p: Parameters<"write">): Promise<void> {
  return written(connections.get(p.id), p.data);
}

export async function read(p: Parameters<"read">): Promise<Uint8Array> {
  const socket = connections.get(p.id);
  for (;;) {
    const chunk: Buffer | null = socket.read(p.bytes);
    if (chunk !== null && chunk.length === p.bytes) return chunk;
    if (socket.errored) throw socket.errored;
    if (socket.readableEnded || chunk !== null) {
      throw new RangeError(`the stream ended before ${p.bytes} bytes`);
    }
    await Promise.race([once(socket, "readable"), once(socket, "end"), once(socket, "close")]);
    // Data that is already there may be emitted at once, repeatedly, before more is received.
    await immediate();
  }
}

export async function readToEnd(p: Parameters<"readToEnd">): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(chunks(p.id)));
}

export async function send(p: Parameters<"send">): Promise<Digest> {
  const socket = connections.get(p.id);
  const random = new RandomStream();
  const digester = new Digester();
  for (let left = p.bytes; left > 0; ) {
    const chunk = random.next(Math.min(left, 65_536));
    digester.add(chunk);
    left -= chunk.length;
    await written(socket, chunk);
    await perhapsPause(chunk.length, p);
  }
  return digester.digest();
}

export async function receive(p: Parameters<"receive">): Promise<Digest> {
  const digester = new Digester();
  for await (const chunk of chunks(p.id)) {
    digester.add(chunk);
    await perhapsPause(chunk.length, p);
  }
  return digester.digest();
}

/** Pauses up to 20 ms, `pauses` times in `bytes` on average. */
async function perhapsPause(passed: number, p: { bytes: number; pauses: number }): Promise<void> {
  if (Math.random() < (passed * p.pauses) / p.bytes) await delay(20 * Math.random());
}

export async function fill(p: Parameters<"fill">): Promise<Result<"fill">> {
  const socket = connections.get(p.id);
  const chunk = Buffer.alloc(p.chunk, "slipway ");
  let bytes = 0;
  while (bytes < p.limit && (await takenWithin(socket, chunk, p.quietMs))) bytes += chunk.length;
  return { bytes };
}

/** Whether the kernel accepted the chunk in time; if not, it stays queued in this process. */
async function takenWithin(socket: net.Socket, chunk: Uint8Array, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const quiet = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const taken = written(socket, chunk).then(() => true);
  // Not accepted now, it may still fail when the connection is closed at the end of the test.
  taken.catch(() => undefined);
  const result = await Promise.race([taken, quiet]);
  clearTimeout(timer);
  return result;
}

export function end(p: Parameters<"end">): void {
  connections.get(p.id).end();
}

export function reset(p: Parameters<"reset">): void {
  connections.get(p.id).resetAndDestroy();
}

export async function closed(p: Parameters<"closed">): Promise<Result<"closed">> {
  const socket = connections.get(p.id);
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  const error: NodeJS.ErrnoException | null = socket.errored;
  return { code: error?.code ?? null };
}

/** Closes the listener or connection `id`, if there is one; resets connections that nobody asked for. */
export function close(id: number): void {
  const listener = listeners.take(id);
  listener?.server.close();
  for (const socket of listener?.waiting ?? []) socket.resetAndDestroy();
  connections.take(id)?.destroy();
}

async function* chunks(id: number): AsyncGenerator<Uint8Array> {
  // The writing side stays open at the end of the reading side: tests decide.
  yield* connections.get(id).iterator({ destroyOnReturn: false });
}

function written(socket: net.Socket, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error ? reject(error) : resolve()));
  });
}

/** An error that nobody awaits stays in `socket.errored` for later requests. */
function keepErrors(socket: net.Socket): void {
  socket.on("error", () => undefined);
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  return { address: address ?? "", port: port ?? 0 };
}
