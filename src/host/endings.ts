import { constants } from "node:os";
import { UserError } from "../base/errors.js";
import type { AttachConfig } from "../commandline/invocation.js";
import type { Loop } from "../loop/loop.js";
import { NamespaceError } from "../netns/failure.js";
import {
  noSuchProcess,
  processOf,
  processOnPath,
  watchNamespaceFile,
} from "../netns/netns-file.js";
import { Errno } from "../sys/constants.js";
import { adoptInherited, ignoredSignals } from "../sys/inherited.js";
import { native } from "../sys/native.js";

type EndingOptions = Pick<AttachConfig, "exitFd" | "exitWithNetns" | "target">;

/** What ends the network, besides signals. */
export interface Endings {
  /** A handle of the addon. */
  readonly exitFd: number | null;
  /** The process whose namespace it is, or below whose root its file is, and its pidfd. */
  readonly owner: { readonly pid: number; readonly fd: number } | null;
  /** The namespace's file, unless it is that of a process. */
  readonly file: string | null;
}

/** @throws UserError for a process that does not exist, or a descriptor that is not open */
export function openEndings({ exitFd, exitWithNetns, target }: EndingOptions): Endings {
  if (exitFd !== null) adoptInherited("--exit-fd", exitFd);
  const file = exitWithNetns && target.kind === "namespace" ? target.netns : null;
  const pid = target.pid ?? (file === null ? null : processOnPath(file));
  if (pid === null) return { exitFd, owner: null, file };
  const isOfProcess = file === null || target.pid !== null || processOf(file) !== null;
  return { exitFd, owner: { pid, fd: openProcess(pid) }, file: isOfProcess ? null : file };
}

/**
 * Checks that the owner still lives: if it had ended before its namespace was entered, its PID might have been another
 * process's by then. EPERM means that it lives: root has given up CAP_KILL by now.
 */
export function checkOwner({ owner }: Endings): void {
  if (owner !== null && native.pidfdSignal(owner.fd, 0) === -Errno.ESRCH) {
    throw noSuchProcess(owner.pid);
  }
}

export function watchEndings(
  { exitFd, owner, file }: Endings,
  loop: Loop,
  signals: readonly NodeJS.Signals[],
  end: (why: string) => void,
): void {
  // EPERM: epoll(7) does not take regular files, which are always ready.
  if (exitFd !== null && loop.watchFd(exitFd, () => end("an event on the exit-fd")) < 0) {
    throw new UserError(`--exit-fd ${exitFd} is a file: give a pipe`);
  }
  if (owner !== null) loop.watchFd(owner.fd, () => end("its process has ended"));
  if (file !== null) watchNamespaceFile(file, () => end("the file of its namespace is gone"));
  for (const signal of signals) {
    if (!ignoredSignals().includes(constants.signals[signal])) process.on(signal, end);
  }
}

/** @returns a pidfd: it is readable when the process has ended, and never refers to a later process of that number */
function openProcess(pid: number): number {
  const pidfd = native.pidfdOpen(pid);
  if (pidfd < 0) throw new NamespaceError(noSuchProcess(pid).message, "network", Errno.ENOENT);
  return pidfd;
}
