import type { DescriptorQuota } from "../../admission/descriptors.js";
import type { FlowState } from "../../nat/flow-record.js";
import { Epoll, Errno, Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { resetSocket } from "../../sys/sockets/socket.js";

/** Capacity of a pipe in bytes: the kernel's limit for ordinary users (pipe(7), pipe-max-size). */
const PIPE_CAPACITY = 1 << 20;

/**
 * What is shorter than this is copied: a pipe costs more than 16 KiB of copies, and after a read that was not filled the
 * socket is known to be empty, where splice(2) has to be called once more. Requests and answers are mostly short.
 */
const COPIED = 16_384;

/** On its way between two sockets in one call. */
const scratch = new Uint8Array(new ArrayBuffer(COPIED));
const scratchMemory = native.registerMemory(scratch.buffer);

/** Bytes that one direction may move per turn, so that no connection starves another. */
const TURN_BUDGET = 1 << 20;

/** Empty pipes kept for the next connection that moves something. */
const IDLE_PIPES = 8;

type Pipe = Exclude<ReturnType<typeof native.pipe>, number>;

/** Pipes shared by the connections of a guest: a connection has one only while bytes are in it. */
export class PipePool {
  readonly #idle: Pipe[] = [];
  readonly #quota: DescriptorQuota;
  #count = 0;

  constructor(quota: DescriptorQuota) {
    this.#quota = quota;
  }

  /** Of all pipes, including idle ones. */
  get descriptors(): number {
    return 2 * this.#count;
  }

  /** @returns an empty pipe, or null when no descriptor is left */
  take(): Pipe | null {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const made = this.#quota.mayOpen(2) ? native.pipe(PIPE_CAPACITY) : -Errno.EMFILE;
    if (typeof made === "number") return null;
    this.#count += 1;
    return made;
  }

  /** @param isEmpty whether it can be reused; otherwise it is closed */
  give(pipe: Pipe, isEmpty: boolean): void {
    if (isEmpty && this.#idle.length < IDLE_PIPES) this.#idle.push(pipe);
    else this.#close(pipe);
  }

  close(): void {
    for (const pipe of this.#idle) this.#close(pipe);
    this.#idle.length = 0;
  }

  #close({ readEnd, writeEnd }: Pipe): void {
    native.close(readEnd);
    native.close(writeEnd);
    this.#count -= 1;
  }
}

/** One of the two sockets, and the pipe that holds what was read from it. */
class End {
  fd: number;
  readable = false;
  writable = false;
  /** Its peer has sent FIN. */
  ended = false;
  /** FIN was sent to its peer. */
  shut = false;
  /** Holds `held` bytes that were read here and not yet written to the other socket. */
  pipe: Pipe | null = null;
  held = 0;
  /** Bytes that were read here without a pipe and that the other socket has not taken; they come before those in it. */
  rest: Uint8Array | null = null;
  /** Whether its last bytes were many: the next ones are spliced. */
  isBulk = false;
  /** Its peer has sent FIN or RST: a read that was not filled says nothing. */
  hasHungUp = false;
  /** Bytes written to it. */
  taken = 0;

  constructor(fd: number) {
    this.fd = fd;
  }
}

/** Result of a call: more can be moved at once, nothing can, or the connection is over. */
export type Progress = "more" | "idle" | "over";

/**
 * Two TCP sockets between which the kernel moves the bytes (splice(2)), without a copy in user space. FIN
 * is passed on as FIN, so that half-closed connections go on, and RST as RST. What one side does not take
 * stays in a pipe, and then in the other socket.
 */
export class SplicedConnection {
  readonly #pipes: PipePool;
  readonly #outside: End;
  readonly #inside: End;

  /**
   * @param outside handle of the client's socket
   * @param inside handle of the socket in the guest's namespace; it may be connecting still
   */
  constructor(pipes: PipePool, outside: number, inside: number) {
    this.#pipes = pipes;
    this.#outside = new End(outside);
    this.#inside = new End(inside);
  }

  /** Replaces an inside socket that could not connect. */
  replaceInside(fd: number): void {
    native.close(this.#inside.fd);
    this.#inside.fd = fd;
  }

  get fds(): { readonly outside: number; readonly inside: number } {
    return { outside: this.#outside.fd, inside: this.#inside.fd };
  }

  /** Whether the inside socket has connected. */
  get isConnected(): boolean {
    return this.#inside.writable || this.#inside.readable;
  }

  /** Bytes that each side has taken since the connection began. */
  get volume(): { readonly outwards: number; readonly inwards: number } {
    return { outwards: this.#outside.taken, inwards: this.#inside.taken };
  }

  /** Whether the guest may send more, and whether it waits for the client to take some. */
  get upload(): { readonly isOpen: boolean; readonly isBlocked: boolean } {
    const isOpen = this.isConnected && !this.#outside.shut;
    return { isOpen, isBlocked: isOpen && !this.#outside.writable };
  }

  get state(): FlowState {
    if (!this.isConnected) return "connecting";
    if (this.#inside.ended) return this.#outside.ended ? "closing" : "guest-ended";
    return this.#outside.ended ? "host-ended" : "established";
  }

  /** Notes an epoll event of a socket, for transfer(). @returns false when the socket has an error */
  note(isInside: boolean, events: number): boolean {
    const end = isInside ? this.#inside : this.#outside;
    if (events & Epoll.Error) return false;
    if (events & Epoll.Out) end.writable = true;
    if (events & (Epoll.ReadHangUp | Epoll.HangUp)) end.hasHungUp = true;
    if (events & (Epoll.In | Epoll.ReadHangUp | Epoll.HangUp)) end.readable = true;
    return true;
  }

  /** Moves up to TURN_BUDGET bytes each way; when the connection is over it has closed both sockets. */
  transfer(): Progress {
    const outwards = this.#move(this.#inside, this.#outside);
    if (outwards === "over") return this.reset();
    const inwards = this.#move(this.#outside, this.#inside);
    if (inwards === "over") return this.reset();
    if (this.#outside.shut && this.#inside.shut) {
      native.close(this.#outside.fd);
      native.close(this.#inside.fd);
      return "over";
    }
    return outwards === "more" || inwards === "more" ? "more" : "idle";
  }

  /** Ends the connection: a client to which everything was sent gets it still, any other is reset. */
  close(): void {
    if (!this.#outside.shut) {
      this.reset();
      return;
    }
    native.close(this.#outside.fd);
    resetSocket(this.#inside.fd);
    this.#release(this.#outside);
  }

  /** Resets both sockets. */
  reset(): "over" {
    for (const end of [this.#outside, this.#inside]) {
      resetSocket(end.fd);
      this.#release(end);
    }
    return "over";
  }

  #move(from: End, to: End): Progress {
    const progress = this.#moveAll(from, to);
    if (from.held === 0) this.#release(from);
    return progress;
  }

  #moveAll(from: End, to: End): Progress {
    let budget = TURN_BUDGET;
    while (to.writable && !to.shut) {
      if (from.rest !== null) {
        const written = this.#writeRest(from, to, from.rest);
        if (written !== "more") return written;
      } else if (from.held > 0) {
        const written = this.#write(from, to);
        if (written !== "more") return written;
      } else if (from.ended) {
        to.shut = true;
        native.shutdown(to.fd, Socket.ShutdownWrite);
      } else if (!from.readable) {
        return "idle";
      } else if (budget <= 0) {
        return "more";
      } else if (from.isBulk) {
        const read = this.#read(from);
        if (read !== "more") return read;
        budget -= from.held;
      } else {
        const copied = this.#copy(from, to);
        if (copied !== "more") return copied;
      }
    }
    return "idle";
  }

  #copy(from: End, to: End): Progress {
    const length = native.read(from.fd, scratchMemory, 0, COPIED);
    if (length <= 0) return this.#noteRead(from, length);
    from.isBulk = length === COPIED;
    if (!from.isBulk && !from.hasHungUp) from.readable = false;
    const written = native.write(to.fd, scratchMemory, 0, length);
    if (written === length) {
      to.taken += written;
      return "more";
    }
    if (written < 0 && written !== -Errno.EAGAIN) return "over";
    const taken = Math.max(0, written);
    to.taken += taken;
    to.writable = false;
    from.rest = scratch.slice(taken, length);
    return "idle";
  }

  #writeRest(from: End, to: End, rest: Uint8Array): Progress {
    const written = native.writeBytes(to.fd, rest);
    if (written < 0 && written !== -Errno.EAGAIN) return "over";
    const taken = Math.max(0, written);
    to.taken += taken;
    from.rest = taken === rest.length ? null : rest.subarray(taken);
    if (from.rest === null) return "more";
    to.writable = false;
    return "idle";
  }

  #read(from: End): Progress {
    from.pipe ??= this.#pipes.take();
    if (from.pipe === null) return "over";
    const moved = native.splice(from.fd, from.pipe.writeEnd, PIPE_CAPACITY);
    if (moved <= 0) return this.#noteRead(from, moved);
    from.held = moved;
    from.isBulk = moved >= COPIED;
    return "more";
  }

  /** @param result of a read: 0 at the end, or a negative errno */
  #noteRead(from: End, result: number): Progress {
    if (result === 0) from.ended = true;
    else if (result === -Errno.EAGAIN) from.readable = false;
    else return "over";
    return result === 0 ? "more" : "idle";
  }

  #write(from: End, to: End): Progress {
    if (from.pipe === null) return "over";
    const moved = native.splice(from.pipe.readEnd, to.fd, from.held);
    if (moved > 0) {
      from.held -= moved;
      to.taken += moved;
      return "more";
    }
    if (moved !== -Errno.EAGAIN) return "over";
    to.writable = false;
    return "idle";
  }

  #release(end: End): void {
    if (end.pipe === null) return;
    this.#pipes.give(end.pipe, end.held === 0);
    end.pipe = null;
  }
}
