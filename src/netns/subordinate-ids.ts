import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { errnoOf, UserError } from "../base/errors.js";

/** How a user namespace gets the ids that a user may use besides his own: part of the request to the addon. */
export interface SubordinateIds {
  /** Command lines of newuidmap(1) and newgidmap(1), with an empty place for the PID. */
  readonly newuidmap: readonly string[];
  readonly newgidmap: readonly string[];
  /** Lines that map the same ids once more, one to one, in a user namespace below. */
  readonly uidMap: string;
  readonly gidMap: string;
}

/** Consecutive ids. */
interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** A line of a user namespace's map, user_namespaces(7). */
interface Extent {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** Ids are 32 bits; the last one means none. */
const LAST_ID = 2 ** 32 - 2;
/** More lines than the addon has room for (HELD_MAP_CAPACITY) would be of no use. */
const MOST_RANGES = 16;
/** As many as useradd(8) gives, from its first one on. */
const USUAL = { first: 100_000, count: 65_536 } as const;

/** What subuid(5) and subgid(5) are called, and the options of usermod(8) that add to them. */
const FILES = {
  uid: { path: "/etc/subuid", option: "--add-subuids" },
  gid: { path: "/etc/subgid", option: "--add-subgids" },
} as const;

/**
 * The subordinate ids of the user in /etc/subuid and /etc/subgid, as maps: the user's own id is 0 inside and the others
 * follow from 1 on. With `keepId` the user's own id stays, and the others are all around it, from 0 on.
 * @param own the user's ids
 * @throws UserError when the user has none
 */
export function subordinateIds(
  own: { readonly uid: number; readonly gid: number },
  keepId: boolean,
): SubordinateIds {
  const owner = ownerOf(own.uid);
  const uids = readGiven("uid", owner, own.uid);
  const gids = readGiven("gid", owner, own.gid);
  const lacking = [uids, gids].filter(({ ranges }) => ranges.length === 0);
  if (lacking.length > 0) throw noIds(owner, lacking);
  const uidExtents = extentsOf(uids.ranges, own.uid, keepId);
  const gidExtents = extentsOf(gids.ranges, own.gid, keepId);
  return {
    newuidmap: commandLine("newuidmap", uidExtents),
    newgidmap: commandLine("newgidmap", gidExtents),
    uidMap: oneToOne(uidExtents),
    gidMap: oneToOne(gidExtents),
  };
}

/** The user as subuid(5) may name it: by login name or by uid. */
interface Owner {
  readonly name: string;
  readonly uid: string;
}

function ownerOf(uid: number): Owner {
  try {
    return { name: userInfo().username, uid: `${uid}` };
  } catch {
    // Not every uid has an account.
    return { name: `${uid}`, uid: `${uid}` };
  }
}

/** What a file gives to an owner. */
interface Given {
  readonly path: string;
  readonly ranges: readonly IdRange[];
  /** Options of usermod(8) that give it some. */
  readonly fix: string;
}

function readGiven(kind: keyof typeof FILES, owner: Owner, own: number): Given {
  const { path, option } = FILES[kind];
  const text = readText(path);
  const first = firstFree(text);
  return {
    path,
    ranges: parseRanges(text, owner, own),
    fix: `${option} ${first}-${first + USUAL.count - 1}`,
  };
}

function noIds({ name }: Owner, lacking: readonly Given[]): UserError {
  const files = lacking.map(({ path }) => path).join(" and ");
  const fixes = lacking.map(({ fix }) => fix).join(" ");
  return new UserError(`--map-auto: no ids for ${name} in ${files}: sudo usermod ${fixes} ${name}`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw new UserError(
      `--map-auto: cannot read ${path} (${errnoOf(error)}): check its mode: ls -l`,
    );
  }
}

/**
 * An owner's ranges in the text of subuid(5). A map can hold no id twice, so those that overlap an earlier one, or hold
 * the user's own id, are left out. Lines that are malformed belong to nobody, as for newuidmap(1).
 */
export function parseRanges(text: string, owner: Owner, own: number): readonly IdRange[] {
  const taken: IdRange[] = [{ first: own, count: 1 }];
  for (const line of text.split("\n")) {
    const range = parseLine(line, [owner.name, owner.uid]);
    if (range !== null && !taken.some((each) => overlap(each, range))) taken.push(range);
  }
  return taken.slice(1, 1 + MOST_RANGES);
}

/** @param owners null: anybody */
function parseLine(line: string, owners: readonly string[] | null): IdRange | null {
  const [, name = "", first = NaN, count = NaN] =
    /^([^:]+):(\d{1,10}):(\d{1,10})$/.exec(line) ?? [];
  if (owners !== null && !owners.includes(name)) return null;
  const range = { first: Number(first), count: Number(count) };
  return range.count > 0 && range.first + range.count - 1 <= LAST_ID ? range : null;
}

function overlap(one: IdRange, other: IdRange): boolean {
  return one.first < other.first + other.count && other.first < one.first + one.count;
}

/** The first id above all that are given to somebody. */
function firstFree(text: string): number {
  const ranges = text.split("\n").map((line) => parseLine(line, null));
  const ends = ranges.map((range) => (range === null ? 0 : range.first + range.count));
  return ends.reduce((most, end) => Math.max(most, end), USUAL.first);
}

/** @param own the user's own id, which is 0 inside unless it is kept */
export function extentsOf(
  ranges: readonly IdRange[],
  own: number,
  keepId: boolean,
): readonly Extent[] {
  const ownInside = keepId ? own : 0;
  const extents: Extent[] = [{ inside: ownInside, outside: own, count: 1 }];
  let inside = 0;
  const add = (outside: number, count: number): void => {
    if (count > 0) extents.push({ inside, outside, count });
    inside += count;
  };
  for (const { first, count } of ranges) {
    const below = inside <= ownInside ? Math.min(count, ownInside - inside) : count;
    add(first, below);
    if (inside !== ownInside) continue;
    inside += 1;
    add(first + below, count - below);
  }
  return extents;
}

function commandLine(program: string, extents: readonly Extent[]): readonly string[] {
  const numbers = extents.flatMap(({ inside, outside, count }) => [inside, outside, count]);
  return [program, "", ...numbers.map(String)];
}

function oneToOne(extents: readonly Extent[]): string {
  return extents.map(({ inside, count }) => `${inside} ${inside} ${count}\n`).join("");
}
