import type { ApiOptions } from "../api/server.js";
import type { Subject } from "../api/subject.js";
import type { Log } from "../base/log.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { CaptureFile } from "../frames/capture.js";
import type { Guest } from "../guest/guest.js";
import type { TapHandle } from "../guest/tap-handle.js";
import type { Loop } from "../loop/loop.js";
import type { OnGone } from "../loop/served.js";
import { native } from "../sys/native.js";

/** What to serve, and for whom. */
export interface GuestSpec {
  /** Becomes the guest's. */
  readonly tap: TapHandle;
  /** Name of the TAP in the namespace. */
  readonly tapName: string;
  /** The process with which the network ends, or null. */
  readonly pid: number | null;
  readonly config: GuestConfig;
  /** Gets every frame, both ways. */
  readonly capture?: CaptureFile | null;
  readonly log: Log;
  readonly api: ApiOptions;
  /** Publishes the ports that the guest begins with. @throws UserError */
  readonly publish: (guest: Guest) => void;
  readonly onGone: OnGone;
}

/** Takes API requests about a guest at a socket that listens already. @returns what closes it */
export type ServeApi = (loop: Loop, subject: Subject, options: ApiOptions) => () => void;

export interface ServedGuest {
  readonly guest: Guest;
  /** To be called once. */
  serveApi(serve: ServeApi): void;
  /** Ends the guest with its ports and its API, and closes the TAP. */
  close(): void;
}

/**
 * Serves a guest of a loop, with its published ports and, from serveApi() on, its API.
 * @throws UserError of `publish`, RangeError of Loop.addGuest(); nothing is left then, and the TAP is closed
 */
export function serveGuest(loop: Loop, spec: GuestSpec): ServedGuest {
  const guest = addGuest(loop, spec);
  let closeApi: (() => void) | null = null;
  const close = (): void => {
    closeApi?.();
    loop.removeGuest(guest);
  };
  try {
    spec.publish(guest);
  } catch (error) {
    close();
    throw error;
  }
  const subject = { guest, tap: spec.tapName, pid: spec.pid, mayPublish: true, log: spec.log };
  return {
    guest,
    serveApi: (serve) => {
      closeApi = serve(loop, subject, spec.api);
    },
    close,
  };
}

function addGuest(loop: Loop, { tap, config, onGone, capture }: GuestSpec): Guest {
  try {
    return loop.addGuest(tap, config, onGone, capture);
  } catch (error) {
    native.close(tap.fd);
    throw error;
  }
}
