import { UserError } from "../base/errors.js";
import { Stdio } from "../base/stdio.js";
import { native } from "./native.js";

/**
 * Adopts a descriptor that the caller left open for us.
 * @param option the option that named it, for the message
 * @throws UserError when it is not open
 */
export function adoptInherited(option: string, fd: number): void {
  if (!wasOpenAtStart(fd) || native.adoptFd(fd) < 0) {
    throw new UserError(`${option} ${fd} is not open: start it with descriptor ${fd} open`);
  }
}

/** The descriptor of `--ready-fd`: its reader waits until we are ready. */
export class ReadyFd {
  readonly #fd: number | null;

  /** @param fd null: there is none. @throws UserError when it is not open */
  constructor(fd: number | null) {
    if (fd !== null) adoptInherited("--ready-fd", fd);
    this.#fd = fd;
  }

  /** Writes `text` and closes the descriptor; call it once. Errors are ignored. @param text "1" when we are ready */
  write(text: string): void {
    if (this.#fd === null) return;
    native.writeBytes(this.#fd, Buffer.from(text));
    native.close(this.#fd);
  }
}

/** Descriptors above stderr that the caller left open: COMMAND of `run` inherits them. */
export function inheritedDescriptors(): readonly number[] {
  const { SLIPWAY_FDS: list } = process.env;
  return numbersIn(list).filter((fd) => fd > Stdio.Error);
}

/** Signals that the caller set to be ignored, as `nohup` does. Node resets them, so the launcher passes them on. */
export function ignoredSignals(): readonly number[] {
  const { SLIPWAY_IGNORED: list } = process.env;
  return numbersIn(list);
}

function numbersIn(list = ""): readonly number[] {
  return list === "" ? [] : list.split(",").map(Number);
}

/**
 * Node opens descriptors of its own at the lowest free numbers before we run, so a number that the caller left closed
 * may be open now. The launcher lists the descriptors that were open before.
 */
function wasOpenAtStart(fd: number): boolean {
  const { SLIPWAY_FDS: list } = process.env;
  return list === undefined || numbersIn(list).includes(fd);
}
