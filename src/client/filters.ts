import {
  type Filter,
  type MemberFilter,
  momentOf,
  type NetworkFilter,
} from "../commandline/filters.js";
import { predefinedNamed } from "../config/predefined.js";
import type { MemberReport, NetworkReport } from "../rpc/reports.js";

/** Whether a network passes: all kinds of filter, and one of each kind; but all labels, as in docker. */
export function networkPasses(
  filters: readonly NetworkFilter[],
  network: NetworkReport,
  now: number,
): boolean {
  const isBuiltIn = predefinedNamed(network.Name) !== undefined;
  return passes(filters, ({ key, value, isNegated }) => {
    switch (key) {
      case "dangling": {
        const isDangling = !isBuiltIn && Object.keys(network.Containers).length === 0;
        return isDangling === (value === "true");
      }
      case "driver":
        return network.Driver === value;
      case "id":
        return network.Id.startsWith(value);
      case "label":
        return hasLabel(network.Labels, value) !== isNegated;
      case "name":
        return isLike(network.Name, value);
      case "scope":
        return network.Scope === value;
      case "type":
        return isBuiltIn === (value === "builtin");
      case "until":
        return Date.parse(network.Created) < (momentOf(value, now) ?? 0);
    }
  });
}

/** As networkPasses(). */
export function memberPasses(filters: readonly MemberFilter[], member: MemberReport): boolean {
  return passes(filters, ({ key, value, isNegated }) => {
    switch (key) {
      case "id":
        return member.id.startsWith(value);
      case "label":
        return hasLabel(member.labels, value) !== isNegated;
      case "name":
        return isLike(member.name, value);
      case "network":
        return member.networks.some(
          ({ network, networkId }) => network === value || networkId.startsWith(value),
        );
      case "status":
        return true;
    }
  });
}

function passes<F extends Filter>(filters: readonly F[], test: (filter: F) => boolean): boolean {
  const kinds = Map.groupBy(filters, ({ key }) => key);
  return [...kinds].every(([key, own]) => (key === "label" ? own.every(test) : own.some(test)));
}

/** @param pattern a regular expression, which may take docker's names, with a slash before them, for granted */
function isLike(name: string, pattern: string): boolean {
  const expression = new RegExp(pattern);
  return expression.test(name) || expression.test(`/${name}`);
}

/** @param wanted a label's name, or name=value */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [, name = wanted, value = null] = /^([^=]*)=(.*)$/s.exec(wanted) ?? [];
  return Object.hasOwn(labels, name) && (value === null || labels[name] === value);
}
