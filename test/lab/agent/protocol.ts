/** Requests of a test to an agent, and their answers: operation → parameters and result. */

export interface Endpoint {
  readonly address: string;
  /** 0 when listening: any free port */
  readonly port: number;
}

/** A listener that echoes closes its side of a connection when the peer has closed its own. */
export type Service = "accept" | "echo";

/** A stream of bytes, described by its length and sha256 (hex). */
export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

export interface Operations {
  listen(p: Endpoint & { service: Service }): { id: number; port: number };
  accept(p: { id: number }): { id: number; peer: Endpoint };
  connect(p: Endpoint): { id: number; local: Endpoint; elapsedMs: number };
  /** resolves when the kernel has accepted all of it */
  write(p: { id: number; data: Uint8Array }): void;
  /** exactly this many bytes; fails if the stream ends earlier */
  read(p: { id: number; bytes: number }): Uint8Array;
  readToEnd(p: { id: number }): Uint8Array;
  /** writes pseudo-random bytes, with this many pauses on average, at random */
  send(p: { id: number; bytes: number; pauses: number }): Digest;
  /** reads to the end, of this many bytes with this many pauses on average */
  receive(p: { id: number; bytes: number; pauses: number }): Digest;
  /** writes `chunk` bytes a call until nothing has been accepted for `quietMs`; `bytes` were accepted */
  fill(p: { id: number; quietMs: number; limit: number; chunk: number }): { bytes: number };
  /** closes the sending side */
  end(p: { id: number }): void;
  /** closes with RST */
  reset(p: { id: number }): void;
  /** reads and discards until the connection is closed; `code` of the error that closed it */
  closed(p: { id: number }): { code: string | null };
  /** forgets a connection, listener or UDP socket, closing it */
  close(p: { id: number }): void;
  bindUdp(p: Endpoint & { service: Service }): { id: number; port: number };
  sendUdp(p: Endpoint & { id: number; data: Uint8Array }): void;
  receiveUdp(p: { id: number }): { data: Uint8Array; from: Endpoint };
}

export type Operation = keyof Operations;
export type Parameters<K extends Operation> = Operations[K] extends (p: infer P) => unknown
  ? P
  : never;
export type Result<K extends Operation> = ReturnType<Operations[K]>;

export interface Request<K extends Operation = Operation> {
  readonly serial: number;
  readonly operation: K;
  readonly parameters: Parameters<K>;
}

export type Reply =
  | { readonly serial: number; readonly result: unknown }
  | { readonly serial: number; readonly error: Failure };

export interface Failure {
  /** errno name such as ECONNREFUSED, or AGENT for a mistake in the test */
  readonly code: string;
  readonly message: string;
  readonly elapsedMs: number;
}
