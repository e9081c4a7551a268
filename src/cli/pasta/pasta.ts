import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import type { NamespaceTarget } from "../../commandline/target.js";
import { isInBackground, PidFile } from "../../host/background.js";
import { checkOwner, openEndings, watchEndings } from "../../host/endings.js";
import { tapSettings } from "../../host/guest-config.js";
import { joinBroker } from "../../host/sandbox.js";
import { SoleGuest } from "../../host/sole-guest.js";
import { openTap } from "../../netns/tap.js";
import { fail } from "../exit.js";
import { preparePasta } from "./guest.js";
import { startPastaLog } from "./log.js";

/**
 * `pasta` and `passt`: serve a guest until its namespace or its command ends, or a signal arrives.
 * @throws UserError before the network is up
 */
export async function pasta(config: PastaConfig): Promise<void> {
  startPastaLog(config.log);
  joinBroker();
  const { target } = config;
  switch (target.kind) {
    case "namespace":
      serve(config, target);
      return;
    case "command":
    case "socket":
    case "fd":
      throw new UserError("not written yet: give a PID or --netns");
  }
}

function serve(config: PastaConfig, target: NamespaceTarget): void {
  const pidFile = new PidFile(config.pidFile);
  const exitWithNetns = !config.staysWithoutNetns;
  const pid = exitWithNetns ? target.pid : null;
  const endings = openEndings({ exitFd: null, exitWithNetns, target: { ...target, pid } });
  const prepared = preparePasta(config);
  const { addressing } = config;
  const settings = tapSettings(prepared.config, addressing.guestMac);
  const tap = openTap(target, prepared.tapName, addressing.configure ? settings : null);
  checkOwner(endings);
  const sole = new SoleGuest(prepared, {
    tap,
    pid: target.pid,
    api: { mostClients: 0, isOpenInside: false },
    publish: () => undefined,
    onGone: (why) =>
      fail(new UserError(`${prepared.tapName}: ${why}: the network of the namespace is gone`)),
  });
  const signals = ["SIGTERM", "SIGINT", ...(isInBackground() ? [] : ["SIGHUP" as const])] as const;
  watchEndings(endings, sole.loop, signals, (why) => sole.end(why, 0));
  // Otherwise it would end the process.
  if (isInBackground()) process.on("SIGHUP", () => undefined);
  sole.start(null, { hasChild: false, inUse: [] });
  log.info("%s is up: the namespace of %s", prepared.tapName, target.netns);
  pidFile.announce();
}
