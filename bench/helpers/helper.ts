import type { Launcher, Program } from "../launch.ts";
import type { Namespace } from "../namespace.ts";

/** A port of the host's 127.0.0.1 that leads to a port of the guest. */
export interface PublishedPort {
  readonly hostPort: number;
  readonly guestPort: number;
}

export interface HelperOptions {
  readonly mtu: number;
  readonly publish: PublishedPort | null;
}

/** A helper attached to a namespace, ready. */
export interface RunningHelper {
  readonly program: Program;
  readonly pid: number;
  /** Milliseconds from exec to ready. */
  readonly readyMs: number;
  /** Where the guest is, if the helper made that namespace itself. */
  readonly namespace?: Namespace;
}

/** The helper cannot do what a cell asks; the message says why. */
export class NotAvailable extends Error {}

/** A program that connects a namespace: Slipway or a peer. */
export interface Helper {
  readonly name: string;
  readonly path: string;
  /** Absent: what it prints itself. */
  readonly version?: string;
  /** What has it print its version; absent: `--version`. */
  readonly versionOption?: string;
  /** The only kind of cell that it takes part in; absent: all except those of members, overlays and pasta. */
  readonly part?: "published" | "members" | "overlay" | "pasta";
  /** Of overlays: only those that are encrypted, or that are not; absent: both. */
  readonly encrypts?: boolean;
  /** @throws NotAvailable if it lacks what the options ask for. */
  start(launcher: Launcher, namespace: Namespace, options: HelperOptions): Promise<RunningHelper>;
}

/** The address at which every helper is told to show the guest the host's 127.0.0.1. */
export const GATEWAY = "10.0.2.2";
export const GUEST = "10.0.2.100";

/** Starts a helper and waits until it reports ready on its fd 3. */
export async function startTimed(
  launcher: Launcher,
  argv: readonly string[],
): Promise<RunningHelper> {
  await using scope = new AsyncDisposableStack();
  const program = scope.use(launcher.startTimed(argv));
  const running = { program, pid: await program.pid(), readyMs: await program.ready() };
  scope.move();
  return running;
}
