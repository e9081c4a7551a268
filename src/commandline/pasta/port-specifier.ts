import { Address, UNSPECIFIED } from "../../base/address.js";
import type { UserError } from "../../base/errors.js";
import { HIGHEST_PORT } from "../../base/port-set.js";
import { isInterfaceName, wrong } from "../parsing/values.js";
import type { Direction } from "./pesto.js";
import type { ForwardedPorts, PortRange } from "./ports.js";

/** Of an option's value, so that a hostile one costs no time. */
const LONGEST = 4096;

/** A range and where it leads. */
interface Mapped extends PortRange {
  readonly targetFirst: number;
  readonly targetAddress: Address | null;
}

const EVERYTHING: Mapped = {
  first: 1,
  last: HIGHEST_PORT,
  targetFirst: 1,
  targetAddress: null,
};

/**
 * The values of -t, -u, -T or -U, which add up.
 * @param texts those that were given; empty: the default
 * @param byDefault `none` or `auto`
 * @throws UserError for one that is malformed, or that contradicts another
 */
export function forwardedPorts(
  option: string,
  direction: Direction,
  texts: readonly string[],
  byDefault: string,
): readonly ForwardedPorts[] {
  const given = texts.length === 0 ? [byDefault] : texts;
  const ports: ForwardedPorts[] = [];
  for (const [index, text] of given.entries()) {
    if (text === "none") continue;
    if (given.includes("none")) {
      throw wrong(`${option} none contradicts ${option} ${text}: leave out one of them`);
    }
    const entries = portSpecifier(option, direction, text);
    if (entries.some((each) => ports.some((other) => overlap(other, each)))) {
      throw wrong(`Overlapping port specifier ${text}: ${option} would forward a port twice`);
    }
    // `auto` twice, of a configuration file and of a command line, is no mistake.
    if (given.indexOf(text) === index) ports.push(...entries);
  }
  return ports;
}

/**
 * `[ADDRESS][%INTERFACE]/LIST` or `LIST`, of `FIRST[-LAST][:[TARGET/]FIRST[-LAST]]`, `FIRST[-LAST]:TARGET`,
 * `~FIRST[-LAST]`, `all[:TARGET]` and `auto`; TARGET is the address of a machine behind the guest.
 * @param option for messages, such as `-t`
 * @throws UserError
 */
export function portSpecifier(
  option: string,
  direction: Direction,
  text: string,
): readonly ForwardedPorts[] {
  const invalid = (why: string): UserError => wrong(`Invalid port specifier ${text}: ${why}`);
  if (text.length > LONGEST) throw invalid(`it has more than ${LONGEST} characters`);
  const slash = hasPlace(text) ? text.indexOf("/") : -1;
  const place = slash < 0 ? NO_PLACE : placeOf(text.slice(0, slash), direction, invalid);
  const { includes, excludes, isAll, isAuto } = listOf(text.slice(slash + 1), invalid);
  if (isAll && (isAuto || includes.length > 1)) {
    throw invalid("all leaves nothing to add but exclusions, such as all,~8080");
  }
  const overlapping = includes.find((range, index) =>
    includes.slice(0, index).some((each) => intersect(each, range)),
  );
  if (overlapping !== undefined)
    throw wrong(`Overlapping port specifier ${text}: name each port once`);
  const left = excludes.reduce<readonly Mapped[]>(
    (ranges, excluded) => ranges.flatMap((range) => without(range, excluded)),
    includes.length > 0 ? includes : [EVERYTHING],
  );
  if (left.length === 0) throw invalid("its exclusions leave no port");
  const isListed = includes.length > 0 && !isAll;
  const which = isAuto ? "listening" : isListed ? "every" : "available";
  return left.map(({ first, last, targetFirst, targetAddress }) => {
    if (targetAddress !== null) requireTarget(targetAddress, place, which, direction, invalid);
    const everywhere = targetAddress === null ? null : UNSPECIFIED[targetAddress.family];
    return {
      address: place.address ?? everywhere,
      interface: place.interface,
      text: `${option} ${text}`,
      range: { first, last },
      targetFirst,
      targetAddress,
      which,
    };
  });
}

/** Whether the first slash is behind a place to listen, and not behind the address of a target. */
function hasPlace(text: string): boolean {
  const [before] = text.split("/", 1);
  if (before.length === text.length) return false;
  const isList = before.includes(",") || /^(all|[\d-]+):/.test(before);
  return !isList || Address.parse(before) !== null;
}

function requireTarget(
  target: Address,
  { address }: Place,
  which: ForwardedPorts["which"],
  direction: Direction,
  invalid: (why: string) => UserError,
): void {
  const { isLoopback, isUnspecified, isMulticast, isBroadcast } = target;
  if (isLoopback || isUnspecified || isMulticast || isBroadcast) {
    throw invalid(`${target} is no address behind the guest: leave it out`);
  }
  if (direction === "outbound") {
    throw invalid("ports of the host lead to its loopback only: leave out the address");
  }
  if (which === "listening") throw invalid("auto is for the guest itself: leave out the address");
  if (address !== null && address.family !== target.family) {
    throw invalid("both addresses need to be of the same IP version");
  }
}

type Place = Pick<ForwardedPorts, "address" | "interface">;
const NO_PLACE: Place = { address: null, interface: null };

/** What stands before the slash. */
function placeOf(text: string, direction: Direction, invalid: (why: string) => UserError): Place {
  const [, bracketed, plain = "", name = null] =
    /^(?:\[([^\]]*)\]|([^%[]*))(?:%(.*))?$/s.exec(text) ?? [];
  const addressText = bracketed ?? plain;
  const address = Address.parse(addressText);
  if (address === null && (addressText !== "" || name === null || bracketed !== undefined)) {
    throw invalid(
      "write an address before the slash, such as 192.0.2.1/8080 or [2001:db8::1]/8080",
    );
  }
  if (address?.isMulticast || address?.isBroadcast)
    throw invalid("no server can have that address");
  if (name !== null && !isInterfaceName(name)) {
    throw invalid("write an interface behind %, such as %eth0/8080");
  }
  if (direction === "outbound" && !isOfGuestLoopback(address, name)) {
    throw invalid(
      "ports of the host appear on the guest's loopback only: leave out what is before the slash",
    );
  }
  return { address, interface: name };
}

function isOfGuestLoopback(address: Address | null, name: string | null): boolean {
  return (address === null || address.isLoopback) && (name === null || name === "lo");
}

interface List {
  readonly includes: readonly Mapped[];
  readonly excludes: readonly PortRange[];
  readonly isAll: boolean;
  readonly isAuto: boolean;
}

/** What stands behind the slash. */
function listOf(text: string, invalid: (why: string) => UserError): List {
  const includes: Mapped[] = [];
  const excludes: PortRange[] = [];
  const items = text.split(",");
  let isAll = false;
  let isAuto = false;
  for (const item of items) {
    const [word, target] = splitAt(":", item);
    if (item === "auto") {
      isAuto = true;
    } else if (word === "all") {
      isAll = true;
      includes.push({
        ...EVERYTHING,
        ...(target === null ? {} : { targetAddress: addressOf(target, invalid) }),
      });
    } else if (item.startsWith("~")) {
      excludes.push(rangeOf(item.slice(1), invalid));
    } else {
      includes.push(mappedOf(word, target, invalid));
    }
  }
  return { includes, excludes, isAll, isAuto };
}

/** behind: null where there is no separator. */
function splitAt(separator: string, text: string): [before: string, behind: string | null] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param target what is behind the colon: ports, an address, or both with a slash between */
function mappedOf(
  ports: string,
  target: string | null,
  invalid: (why: string) => UserError,
): Mapped {
  const range = rangeOf(ports, invalid);
  if (target === null) return { ...range, targetFirst: range.first, targetAddress: null };
  const [before, behind] = splitAt("/", target);
  const isPorts = behind === null && /^[\d-]+$/.test(before);
  const targetAddress = isPorts ? null : addressOf(before, invalid);
  if (behind === null && !isPorts) return { ...range, targetFirst: range.first, targetAddress };
  const targets = rangeOf(behind ?? before, invalid);
  if (targets.last - targets.first !== range.last - range.first) {
    throw invalid("both sides of the colon need the same number of ports");
  }
  return { ...range, targetFirst: targets.first, targetAddress };
}

function addressOf(text: string, invalid: (why: string) => UserError): Address {
  const address = Address.parse(text.replace(/^\[(.*)\]$/s, "$1"));
  if (address !== null) return address;
  throw invalid(FORMS);
}

const FORMS = "write ports like 8080, 8080-8089, 8080:80, 8080:192.0.2.5/80 or ~8085";

function rangeOf(text: string, invalid: (why: string) => UserError): PortRange {
  const [, firstText, lastText = firstText] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const range = { first: Number(firstText), last: Number(lastText) };
  if (firstText === undefined) throw invalid(FORMS);
  if (range.first < 1 || range.last > HIGHEST_PORT) throw invalid(`ports are 1 to ${HIGHEST_PORT}`);
  if (range.first > range.last) throw invalid("the first port of a range is the lower one");
  return range;
}

/** What is left of a range. */
function without(range: Mapped, excluded: PortRange): readonly Mapped[] {
  const { first, last, targetFirst } = range;
  const start = Math.max(first, excluded.last + 1);
  return [
    { ...range, last: Math.min(last, excluded.first - 1) },
    { ...range, first: start, targetFirst: targetFirst + start - first },
  ].filter((part) => part.first <= part.last);
}

/** Whether two entries want one listener. `auto` and `all` leave a port to the others. */
function overlap(a: ForwardedPorts, b: ForwardedPorts): boolean {
  if (a.which !== "every" || b.which !== "every") return false;
  const isSameAddress =
    a.address === null || b.address === null
      ? a.address === b.address
      : a.address.equals(b.address);
  return isSameAddress && a.interface === b.interface && intersect(a.range, b.range);
}

function intersect(a: PortRange, b: PortRange): boolean {
  return a.first <= b.last && b.first <= a.last;
}
