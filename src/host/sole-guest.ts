import { log } from "../base/log.js";
import type { GuestOptions } from "../commandline/invocation.js";
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

/** What is set up before there is a TAP. */
export interface PreparedGuest {
  readonly options: GuestOptions;
  readonly host: ResolvConf;
  readonly config: GuestConfig;
  readonly capture: CaptureFile | null;
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
  const { tap, network, pcap } = options;
  const capture = pcap === null ? null : openCapture(pcap, tap);
  const host = new ResolvConf(RESOLV_CONF);
  return { options, host, config: guestConfig(network, host, hostnameOfGuest()), capture };
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
    const { options, config, capture } = prepared;
    this.#prepared = prepared;
    this.#served = serveGuest(this.loop, { ...parts, tapName: options.tap, config, capture, log });
  }

  get guest(): Guest {
    return this.#served.guest;
  }

  /**
   * Starts the loop and the API, and enters the sandbox before the first event is served.
   * @throws UserError when it cannot be entered
   */
  start(api: ApiListener | null, needs: Pick<SandboxNeeds, "hasChild" | "inUse">): void {
    const { options, config, host } = this.#prepared;
    this.loop.start();
    if (api !== null) this.#served.serveApi(api.serve);
    if (!options.sandbox) {
      leaveBroker();
      return;
    }
    enterSandbox({
      ...needs,
      host: config.dns === null ? null : host,
      apiSocket: api?.path ?? null,
      opensPorts: api !== null || options.publish.auto !== null,
    });
  }

  /** Ends the guest and the process. @param why follows "is down: " in the log */
  end(why: string, exitStatus: number): never {
    const { tap, stats } = this.#prepared.options;
    log.info("%s is down: %s", tap, why);
    if (stats) printStatistics(this.guest);
    this.loop.stop();
    process.exit(exitStatus);
  }
}
