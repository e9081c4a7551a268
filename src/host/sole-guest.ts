import { log } from "../base/log.js";
import type { GuestOptions } from "../commandline/invocation.js";
import { DRAIN_LIMIT } from "../config/constants.js";
import type { GuestConfig } from "../config/guest-config.js";
import { ResolvConf } from "../dns/resolv-conf.js";
import type { CaptureFile } from "../frames/capture.js";
import type { Guest } from "../guest/guest.js";
import { Loop } from "../loop/loop.js";
import type { ApiListener } from "./api-socket.js";
import { guestConfig, RESOLV_CONF } from "./guest-config.js";
import { openCapture } from "./output/capture-file.js";
import { printStatistics } from "./output/statistics.js";
import { enterSandbox, leaveBroker, type SandboxNeeds } from "./sandbox.js";
import { type GuestSpec, type ServedGuest, serveGuest } from "./serve-guest.js";

/** Signals that end a process with one guest; in the background SIGHUP does not. */
export const END_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** What is set up before there is a TAP. */
export interface PreparedGuest {
  /** Name of the TAP in the namespace. */
  readonly tapName: string;
  readonly host: ResolvConf;
  readonly config: GuestConfig;
  readonly capture: CaptureFile | null;
  /** Whether ports may be published later than at the start. */
  readonly publishesLater: boolean;
  /** Whether privileges are dropped before the guest's first frame. */
  readonly sandbox: boolean;
  /** Whether statistics are printed at the end. */
  readonly stats: boolean;
}

/**
 * Begins to set up the guest of this process, which has joined the broker: opens the capture file.
 * @param hostname the guest's; null: unknown
 * @throws UserError
 */
export function prepareGuest(
  options: GuestOptions,
  hostnameOfGuest: () => string | null,
): PreparedGuest {
  const { tap: tapName, network, pcap, publish, sandbox, stats } = options;
  const capture = pcap === null ? null : openCapture(pcap, tapName);
  const host = new ResolvConf(RESOLV_CONF);
  const config = guestConfig(network, host, hostnameOfGuest());
  return { tapName, host, config, capture, publishesLater: publish.auto !== null, sandbox, stats };
}

/** The parts of a GuestSpec in which `run` and `attach` differ. */
type OwnParts = "tap" | "pid" | "api" | "publish" | "onGone";

/** The guest of a process that serves one, as `run` and `attach` do, and ends with it. */
export class SoleGuest {
  readonly loop = new Loop();
  readonly #prepared: PreparedGuest;
  readonly #served: ServedGuest;

  /** Nothing is relayed until start(). @throws as serveGuest() */
  constructor(prepared: PreparedGuest, parts: Pick<GuestSpec, OwnParts>) {
    const { tapName, config, capture } = prepared;
    this.#prepared = prepared;
    this.#served = serveGuest(this.loop, { ...parts, tapName, config, capture, log });
  }

  get guest(): Guest {
    return this.#served.guest;
  }

  /**
   * Starts the loop and the API, and enters the sandbox before the first event is served.
   * @throws UserError when it cannot be entered
   */
  start(api: ApiListener | null, needs: Pick<SandboxNeeds, "hasChild" | "inUse" | "user">): void {
    const { sandbox, publishesLater, config, host } = this.#prepared;
    this.loop.start();
    if (api !== null) this.#served.serveApi(api.serve);
    if (!sandbox) {
      leaveBroker();
      return;
    }
    enterSandbox({
      ...needs,
      host: config.dns === null ? null : host,
      apiSocket: api?.path ?? null,
      opensPorts: api !== null || publishesLater,
    });
  }

  /** Ends as end(), when what COMMAND sent last has been passed on. A signal ends the wait. */
  endDrained(why: string, exitStatus: number): void {
    const end = (): never => this.end(why, exitStatus);
    for (const signal of END_SIGNALS) process.on(signal, end);
    this.loop.drain(DRAIN_LIMIT, end);
  }

  /** Ends the guest and the process. @param why follows "is down: " in the log */
  end(why: string, exitStatus: number): never {
    const { tapName, stats } = this.#prepared;
    log.info("%s is down: %s", tapName, why);
    if (stats) printStatistics(this.guest);
    this.loop.stop();
    process.exit(exitStatus);
  }
}
