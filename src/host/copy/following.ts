import { log } from "../../base/log.js";
import type { AddressPlan } from "../../config/address-plan.js";
import type { Upstream } from "../../config/dns-config.js";
import type { Resident } from "../../netns/agent.js";
import type { RouteTables } from "../../wire/rtnetlink-dump.js";
import { ConfiguredLink } from "./configured-link.js";
import type { HostCopy } from "./copy-host.js";
import type { HostWatch } from "./host-watch.js";
import { PlanFollower } from "./plan-follower.js";
import type { PlanOptions } from "./plans.js";

/** What a guest that follows its host consists of. */
export interface Following {
  readonly watch: HostWatch;
  readonly options: PlanOptions;
  /** The host's resolv.conf. */
  readonly host: Upstream;
  readonly copy: HostCopy;
  /** In the guest's namespace; null: the guest sets its addresses and routes itself, by DHCP and NDP. */
  readonly resident: Pick<Resident, "indexOf" | "set"> | null;
  /** Has Slipway itself go by the new plans. */
  readonly replan: (plans: readonly AddressPlan[]) => void;
}

/** From now on the guest has what the host has, as it changes. @returns ends that */
export function followHost(following: Following): () => void {
  const { watch, options, host, copy, resident, replan } = following;
  const follower = new PlanFollower(options, host, copy);
  const link = configuredLink(copy, resident);
  const onTables = (tables: RouteTables): void => {
    const { plans, recheck } = follower.follow(tables);
    if (recheck !== null) watch.readWithin(recheck);
    if (plans === null) return;
    log.info("the host's network has changed: the guest follows");
    // Slipway goes first: it answers for a new router before the guest has a route through it.
    replan(plans);
    link?.change(plans);
  };
  return watch.follow(onTables);
}

function configuredLink(
  { ifname, config, settings }: HostCopy,
  resident: Following["resident"],
): ConfiguredLink | null {
  if (resident === null || settings.plans.length === 0) return null;
  const index = resident.indexOf(ifname);
  return new ConfiguredLink(index, config.plans, (request) => resident.set(request));
}
