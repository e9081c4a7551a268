import { FAMILIES, type Family } from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import {
  type AddressPlan,
  addressesOf,
  hasDefaultRoute,
  textOfAddress,
  textOfRoute,
} from "../../config/address-plan.js";
import type { Upstream } from "../../config/dns-config.js";
import type { RouteTables } from "../../wire/rtnetlink-dump.js";
import type { HostCopy } from "./copy-host.js";
import { type PlanOptions, plansOf, type Templates, templatesOf } from "./plans.js";
import type { Template } from "./template.js";

/** How long the guest keeps a family that the host has lost while it still has the other, in ms. */
const GRACE = 5_000;

/** What becomes of the plans of a guest when the host's network changes. */
export interface Followed {
  /** null: they stay. */
  readonly plans: readonly AddressPlan[] | null;
  /** In how many ms the tables are to be read again, even if nothing changes; null: not. */
  readonly recheck: number | null;
}

/**
 * Makes the plans of a guest anew when the host's network has changed.
 *
 * A host that has lost its network, for a moment or a night, leaves the guest as it is: its connections go on if the host
 * comes back with the same addresses. A family that is lost while the other stays is taken from the guest after a while.
 */
export class PlanFollower {
  readonly #options: PlanOptions;
  readonly #host: Upstream;
  readonly #copy: Pick<HostCopy, "mac">;
  #templates: Templates;
  #plans: readonly AddressPlan[];
  readonly #lostAt: Record<Family, number | null> = { 4: null, 6: null };
  #lastError = "";

  /** @param copy the guest as it was made */
  constructor(
    options: PlanOptions,
    host: Upstream,
    copy: Pick<HostCopy, "mac" | "templates"> & {
      readonly config: Pick<HostCopy["config"], "plans">;
    },
  ) {
    this.#options = options;
    this.#host = host;
    this.#copy = copy;
    this.#templates = copy.templates;
    this.#plans = copy.config.plans;
  }

  follow(tables: RouteTables, now = monotonicMs()): Followed {
    const found = templatesOf(tables, this.#options.addressing);
    const usable = this.#usableOf(found);
    if (usable[4] === null && usable[6] === null) return { plans: null, recheck: null };
    const { templates, recheck } = this.#withLost(usable, now);
    const plans = this.#planned(templates);
    if (plans === null) return { plans: null, recheck };
    this.#templates = templates;
    if (textOf(plans) === textOf(this.#plans)) return { plans: null, recheck };
    this.#plans = plans;
    return { plans, recheck };
  }

  /**
   * Without the interfaces that are only what is left, such as a bridge of containers when the host's own link is
   * down.
   */
  #usableOf(found: Templates): Templates {
    const usable = (family: Family): Template | null => {
      const before = this.#templates[family];
      const after = found[family];
      if (before === null || after === null || !hasDefaultRoute(before)) return after;
      const isOther = before.link.index !== after.link.index;
      return isOther && !hasDefaultRoute(after) ? null : after;
    };
    return { 4: usable(4), 6: usable(6) };
  }

  /** With the families that were lost only a moment ago as they were. */
  #withLost(usable: Templates, now: number): { templates: Templates; recheck: number | null } {
    const templates = { ...usable };
    let recheck: number | null = null;
    for (const family of FAMILIES) {
      const before = this.#templates[family];
      if (usable[family] !== null || before === null) {
        this.#lostAt[family] = null;
        continue;
      }
      const since = this.#lostAt[family] ?? now;
      this.#lostAt[family] = since;
      const left = since + GRACE - now;
      if (left <= 0) continue;
      templates[family] = before;
      recheck = left;
    }
    return { templates, recheck };
  }

  #planned(templates: Templates): readonly AddressPlan[] | null {
    try {
      return plansOf(this.#options, templates, this.#host, this.#copy.mac);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (error.message !== this.#lastError) log.warn(`the host is not followed: ${error.message}`);
      this.#lastError = error.message;
      return null;
    }
  }
}

/** Equal for plans that are equal. What is announced follows resolv.conf by itself. */
function textOf(plans: readonly AddressPlan[]): string {
  return plans
    .map((plan) => {
      const { gateway, router, dns, routes, mapped, neighbors } = plan;
      const addresses = addressesOf(plan).map(textOfAddress);
      const ways = routes.map(textOfRoute);
      const places = mapped.map(({ at, to }) => `${at} ${to}`);
      return [gateway, router, dns, neighbors, ...addresses, "", ...ways, "", ...places].join("\n");
    })
    .join("\n\n");
}
