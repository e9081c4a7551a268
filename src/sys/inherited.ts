import { UserError } from "../base/errors.js";
import { Stdio } from "../base/stdio.js";
import { native } from "./native.js";

/**
 * Takes over a descriptor that the caller left open for us.
 * @param option by which it was named
 * @throws UserError when it is not open
 */
export function adoptInherited(option: string, fd: number): void {
  if (!wasOpenAtStart(fd) || native.adoptFd(fd) < 0) {
    throw new UserError(`${option} ${fd} is not open: start slipway with descriptor ${fd} open`);
  }
}

/** The descriptor of `--ready-fd`, at which somebody waits until we are ready. */
export class ReadyFd {
  readonly #fd: number | null;

  /** @param fd null: nobody waits. @throws UserError when it is not open */
  constructor(fd: number | null) {
    if (fd !== null) adoptInherited("--ready-fd", fd);
    this.#fd = fd;
  }

  /** To be called once. Where nobody reads any more, nobody waits. @param text "1" when we are ready */
  tell(text: string): void {
    if (this.#fd === null) return;
    native.writeBytes(this.#fd, Buffer.from(text));
    native.close(this.#fd);
  }
}

/** Descriptors above stderr that the caller left open: the command of `run` is to have them. */
export function inheritedDescriptors(): readonly number[] {
  const { SLIPWAY_FDS: list } = process.env;
  return numbersIn(list).filter((fd) => fd > Stdio.Error);
}

/** Signals that the caller has us ignore, as `nohup` does; Node sets them to their defaults. */
export function ignoredSignals(): readonly number[] {
  const { SLIPWAY_IGNORED: list } = process.env;
  return numbersIn(list);
}

function numbersIn(list = ""): readonly number[] {
  return list === "" ? [] : list.split(",").map(Number);
}

/**
 * Node opens descriptors of its own at the lowest free numbers before we run, so that a number that
 * the caller left closed may be open now. The launcher lists those open before.
 */
function wasOpenAtStart(fd: number): boolean {
  const { SLIPWAY_FDS: list } = process.env;
  return list === undefined || numbersIn(list).includes(fd);
}
