/** One guest with one helper on one host: where each measurement runs. */

import { once } from "node:events";
import { createServer } from "node:net";
import { GATEWAY, type Helper, type HelperOptions } from "./helpers/helper.ts";
import type { Program } from "./launch.ts";
import { Namespace } from "./namespace.ts";
import { contextSwitches, cpuSeconds, type Memory, memory, sum } from "./proc.ts";
import type { Programs } from "./programs.ts";
import type { Workshop } from "./workshop.ts";

export interface Setting extends HelperOptions {
  readonly congestion: string;
}

/** The host's address that servers for the guest listen on. */
export const HOST_LOOPBACK = "127.0.0.1";

export interface Testbed extends AsyncDisposable {
  readonly programs: Programs;
  /** Where servers for the guest listen. */
  readonly serverAddress: string;
  /** Where the guest finds them. */
  readonly hostAddress: string;
  /** Null on plain loopback. */
  readonly helper: HelperMeter | null;
  startOnHost(argv: readonly string[]): Program;
  startInGuest(argv: readonly string[]): Program;
}

/** The helper's counters. */
export class HelperMeter {
  readonly #pids: readonly number[];
  readonly readyMs: number;

  /** @param pids of its processes; each with its descendants. */
  constructor(readyMs: number, pids: readonly number[]) {
    this.#pids = pids;
    this.readyMs = readyMs;
  }

  /** Of several helpers, or of one process that several share: each process counts once. */
  static together(meters: readonly HelperMeter[]): HelperMeter {
    return new HelperMeter(0, [...new Set(meters.flatMap((meter) => meter.#pids))]);
  }

  cpuSeconds(): number {
    return sum(this.#pids.map(cpuSeconds));
  }

  contextSwitches(): number {
    return sum(this.#pids.map(contextSwitches));
  }

  memory(): Memory {
    const each = this.#pids.map(memory);
    const known = each.map(({ privateDirty }) => privateDirty).filter((bytes) => bytes !== null);
    return {
      resident: sum(each.map(({ resident }) => resident)),
      privateDirty: known.length === each.length ? sum(known) : null,
    };
  }
}

/** A fresh namespace with the helper attached to it. */
export async function createTestbed(
  { launcher, programs }: Workshop,
  helper: Helper,
  setting: Setting,
): Promise<Testbed> {
  await using scope = new AsyncDisposableStack();
  const made = scope.use(await Namespace.create(launcher));
  const running = await helper.start(launcher, made, setting);
  scope.use(running.program);
  const namespace = running.namespace ?? made;
  await namespace.setCongestionControl(setting.congestion);
  const owned = scope.move();
  return {
    programs,
    serverAddress: HOST_LOOPBACK,
    hostAddress: GATEWAY,
    helper: new HelperMeter(running.readyMs, [running.pid]),
    startOnHost: (argv) => launcher.start(argv),
    startInGuest: (argv) => namespace.start(argv),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The host alone, playing both parts over its loopback. */
export function loopbackTestbed({ launcher, programs }: Workshop): Testbed {
  return {
    programs,
    serverAddress: HOST_LOOPBACK,
    hostAddress: HOST_LOOPBACK,
    helper: null,
    startOnHost: (argv) => launcher.start(argv),
    startInGuest: (argv) => launcher.start(argv),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** CPU seconds that the helper uses during some work; null on loopback, which has none. */
export async function helperCost<T>(
  { helper }: Testbed,
  work: () => Promise<T>,
): Promise<{ result: T; seconds: number | null }> {
  const before = helper?.cpuSeconds() ?? 0;
  const result = await work();
  return { result, seconds: helper === null ? null : helper.cpuSeconds() - before };
}

/** A TCP port of the host's loopback that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST_LOOPBACK);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  return address.port;
}
