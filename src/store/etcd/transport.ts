import http from "node:http";
import type https from "node:https";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Endpoint } from "./endpoints.js";

/** Contents of PEM files. */
export interface TlsMaterial {
  readonly ca: Buffer | null;
  readonly identity: { readonly cert: Buffer; readonly key: Buffer } | null;
}

/** Node's TLS, and what we trust and show there. */
interface Secure {
  readonly https: typeof https;
  readonly context: SecureContext;
}

/** What an endpoint answered. */
export interface Reply {
  readonly status: number;
  readonly body: string;
}

/**
 * Why there is no reply. `unsent`: the request did not get there. `unknown`: perhaps it did. `too large`: the reply
 * exceeds MOST_BYTES.
 */
export type FaultKind = "unsent" | "unknown" | "too large";

export class Fault extends Error {
  readonly kind: FaultKind;
  readonly endpoint: Endpoint;
  /** Of the system, of Node's TLS or of OpenSSL: ECONNREFUSED, CERT_HAS_EXPIRED. */
  readonly code: string;

  constructor(kind: FaultKind, endpoint: Endpoint, code: string, message = code) {
    super(message);
    this.kind = kind;
    this.endpoint = endpoint;
    this.code = code;
  }
}

/** What came of a stream, line by line. */
export interface StreamEvents {
  readonly onLine: (line: string) => void;
  /** It has ended, or is not one: `reply` is what the endpoint said instead. */
  readonly onEnd: (why: Fault | Reply) => void;
}

/** A request for `path`; without a body it is a GET. */
export interface Request {
  readonly path: string;
  readonly body: string | null;
  /** Of etcd's authentication; empty: none. */
  readonly token: string;
}

/** Longest time until a connection is there, in ms: a lost SYN is sent again after 1 s (RFC 6298 §2). */
const CONNECT_LIMIT = 2_500;

/** Largest reply, and largest line of a stream, in bytes. etcd's own limit for a value is 1.5 MiB, which base64 makes 2. */
const MOST_BYTES = 8 << 20;

/** Connections to one endpoint at a time, besides those of streams. */
const MOST_CONNECTIONS = 16;

/** HTTP to the endpoints of a store. Nothing is resolved or read from files: it works behind the lock-down. */
export class Transport {
  readonly #secure: Secure | null;
  readonly #agent: http.Agent;
  readonly #streams = new Set<http.ClientRequest>();

  private constructor(secure: Secure | null) {
    this.#secure = secure;
    const options = { keepAlive: true, maxSockets: MOST_CONNECTIONS };
    this.#agent = secure === null ? new http.Agent(options) : new secure.https.Agent(options);
  }

  /**
   * Loads TLS if it is wanted: it takes 4 MB (m).
   * @param tls null: in the clear
   * @throws Error of OpenSSL, for material that is none
   */
  static async open(tls: TlsMaterial | null): Promise<Transport> {
    if (tls === null) return new Transport(null);
    const [{ default: https }, { createSecureContext }] = await Promise.all([
      import("node:https"),
      import("node:tls"),
    ]);
    const { ca, identity } = tls;
    const context = createSecureContext({ ...(ca === null ? {} : { ca }), ...(identity ?? {}) });
    return new Transport({ https, context });
  }

  /** One with connections of its own. */
  another(): Transport {
    return new Transport(this.#secure);
  }

  /**
   * @param limit in ms
   * @throws Fault
   */
  request(endpoint: Endpoint, request: Request, limit: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const client = this.#start(endpoint, request, this.#agent);
      const clock = new Clock(client, endpoint, limit);
      client.on("error", (error) => reject(clock.end(error)));
      client.on("response", (response) => {
        readBody(response).then(
          (body) => {
            clock.end();
            resolve({ status: response.statusCode ?? 0, body });
          },
          (error) => reject(clock.end(error)),
        );
      });
    });
  }

  /** Like `request`, for a reply that has no end. @returns ends it, without an event */
  stream(endpoint: Endpoint, request: Request, limit: number, events: StreamEvents): () => void {
    // A connection of its own, as it is never given back.
    const client = this.#start(endpoint, request, undefined);
    const clock = new Clock(client, endpoint, limit);
    this.#streams.add(client);
    let isOver = false;
    const over = (): boolean => {
      if (isOver) return true;
      isOver = true;
      this.#streams.delete(client);
      return false;
    };
    const end = (why: Fault | Reply): void => {
      if (over()) return;
      client.destroy();
      events.onEnd(why);
    };
    client.on("error", (error) => end(clock.end(error)));
    client.on("response", (response) => {
      const { statusCode: status = 0 } = response;
      if (status !== 200) {
        readBody(response).then(
          (body) => {
            clock.end();
            end({ status, body });
          },
          (error) => end(clock.end(error)),
        );
        return;
      }
      clock.end();
      const onLine = (line: string): void => {
        if (!isOver) events.onLine(line);
      };
      readLines(response, onLine, (error) => end(clock.end(error)));
    });
    return () => {
      if (!over()) client.destroy();
    };
  }

  close(): void {
    this.#agent.destroy();
    for (const stream of this.#streams) stream.destroy();
  }

  #start(
    { host, address, port }: Endpoint,
    { path, body, token }: Request,
    agent: http.Agent | undefined,
  ): http.ClientRequest {
    const options: http.RequestOptions = {
      host: address,
      port,
      path,
      method: body === null ? "GET" : "POST",
      // An agent of its own where there is none: the global one may be anybody's.
      agent: agent ?? false,
      headers: {
        host: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
        // A member that has lost its leader refuses, instead of answering by what it last knew.
        "grpc-metadata-hasleader": "true",
        ...(token === "" ? {} : { authorization: token }),
        ...(body === null
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
      },
    };
    const client =
      this.#secure === null
        ? http.request(options)
        : this.#secure.https.request(secured(options, this.#secure.context, host, address));
    client.end(body ?? undefined);
    return client;
  }
}

/** Server names are names (RFC 6066 §3); without one the certificate must be good for the address. */
function secured(
  options: http.RequestOptions,
  secureContext: SecureContext,
  host: string,
  address: string,
): https.RequestOptions & { readonly secureContext: SecureContext } {
  return { ...options, secureContext, ...(host === address ? {} : { servername: host }) };
}

/** ClientRequest.reusedSocket does not tell of a request that waited for a socket in the agent's queue. */
const connectedSockets = new WeakSet<object>();

/** Ends a request that does not connect, or get its reply, in time; and tells whether it was sent. */
class Clock {
  readonly #endpoint: Endpoint;
  readonly #connecting: NodeJS.Timeout;
  readonly #whole: NodeJS.Timeout;
  #isConnected = false;

  constructor(client: http.ClientRequest, endpoint: Endpoint, limit: number) {
    this.#endpoint = endpoint;
    const expire = (): void => void client.destroy(new Expired());
    this.#connecting = setTimeout(expire, Math.min(limit, CONNECT_LIMIT));
    this.#whole = setTimeout(expire, limit);
    client.on("socket", (socket) => {
      const connected = (): void => {
        this.#isConnected = true;
        clearTimeout(this.#connecting);
        connectedSockets.add(socket);
      };
      if (connectedSockets.has(socket)) connected();
      else socket.once(isTls(socket) ? "secureConnect" : "connect", connected);
    });
  }

  /** Stops it. @returns what an error means */
  end(error?: unknown): Fault {
    clearTimeout(this.#connecting);
    clearTimeout(this.#whole);
    if (error instanceof TooLarge) return new Fault("too large", this.#endpoint, "EMSGSIZE");
    const kind = this.#isConnected ? "unknown" : "unsent";
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return new Fault(kind, this.#endpoint, code, error instanceof Error ? error.message : code);
  }
}

class Expired extends Error {
  readonly code = "ETIMEDOUT";
}

class TooLarge extends Error {}

function isTls(socket: object): socket is TLSSocket {
  return "encrypted" in socket;
}

async function readBody(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new TooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @param onEnd null: the other side ended it */
function readLines(
  response: http.IncomingMessage,
  onLine: (line: string) => void,
  onEnd: (error: unknown) => void,
): void {
  let rest: Buffer[] = [];
  let size = 0;
  response.on("data", (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, at)]);
      rest = [];
      size = 0;
      from = at + 1;
      if (line.length > 0) onLine(line.toString());
    }
    rest.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size > MOST_BYTES) response.destroy(new TooLarge());
  });
  response.on("error", onEnd);
  response.on("end", () => onEnd(new Ended()));
}

class Ended extends Error {
  readonly code = "ECONNRESET";
}
