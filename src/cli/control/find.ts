import { existsSync } from "node:fs";
import path from "node:path";
import { UserError } from "../../base/errors.js";
import { quoted } from "../../base/printable.js";
import { programName } from "../../base/program.js";
import { print } from "../../base/stdio.js";
import type { ControlOptions } from "../../commandline/requests.js";
import { isPid, isSameName, LEAST_ID_DIGITS } from "../../config/names.js";
import { socketPathOf } from "../../rpc/api-path.js";
import { daemonSocket } from "../../rpc/daemon-paths.js";
import { isInitialNamespace } from "../../rpc/safe-directory.js";
import { apiDirectory } from "../../rpc/xdg.js";
import { status } from "./answers.js";
import type { Daemon } from "./members.js";
import type { OtherGuest } from "./others.js";
import { type Place, request } from "./place.js";
import { ownPlaceNamed, ownPlaces, socketPlace } from "./sockets.js";

/** A guest, or a member of networks. */
export interface Found {
  /** How a message names it, after "of" or "--name". */
  readonly label: string;
  readonly kind: "process" | "name";
  /** At least one: a member has one for each of its networks, that of its published ports first. */
  readonly places: readonly [Place, ...Place[]];
}

/**
 * Finds running networks of this user, and has a command use them.
 * @param ifNone what to do where none runs and none was named; absent: that is an error
 * @throws UserError when there is none
 */
export function withGuests(
  options: ControlOptions,
  use: (found: readonly [Found, ...Found[]]) => Promise<void>,
  ifNone?: () => void,
): Promise<void> {
  return withFound(options, use, ifNone, options.name === null);
}

/** @param isOfAll whether the user wants to know of networks that cannot be asked for */
async function withFound(
  { socket, name }: ControlOptions,
  use: (found: readonly [Found, ...Found[]]) => Promise<void>,
  ifNone: (() => void) | undefined,
  isOfAll: boolean,
): Promise<void> {
  if (socket !== null) return use([fromPlace(await placeOf(socket))]);
  // Before the daemon is asked: a run that is being started becomes a member.
  const command = await commandOf(name);
  const opened = await openDaemon();
  const daemon = opened instanceof UserError ? null : opened;
  try {
    const found = name === null ? await findAll(daemon) : await findNamed(name, command, daemon);
    const [first, ...others] = found;
    // What runs without the daemon can be asked all the same.
    if (opened instanceof UserError && first === undefined) throw opened;
    if (opened instanceof UserError && isOfAll) warnOfMembers(opened);
    if (first !== undefined) await use([first, ...others]);
    else if (name === null && ifNone !== undefined) ifNone();
    else throw notFound(name);
  } finally {
    await daemon?.close();
  }
}

/** The same where exactly one is meant. @throws UserError when there are several, too */
export function withGuest(
  options: ControlOptions,
  use: (found: Found) => Promise<void>,
  ifNone?: () => void,
): Promise<void> {
  const useOne = async ([found, ...others]: readonly [Found, ...Found[]]): Promise<void> => {
    if (others.length > 0) throw severalFound([found, ...others]);
    await use(found);
  };
  // The daemon serves nobody in a container, where the network that is found is the one that is meant.
  return withFound(options, useOne, ifNone, options.name === null && isInitialNamespace());
}

/** To a program "nothing" is a list, too. */
export function printEmptyList(): void {
  print("[]\n");
}

async function placeOf(named: string): Promise<Place> {
  if (!isPid(named)) return socketPlace(named);
  const directory = apiDirectory();
  const socket = directory === null ? null : socketPathOf(directory, named);
  if (socket !== null && existsSync(socket)) return socketPlace(socket);
  const [found] = await findProcess(named);
  if (found !== undefined) return found;
  throw new UserError(
    `process ${named} has no API socket: slipway status lists the processes that have one`,
  );
}

async function findAll(daemon: Daemon | null): Promise<readonly Found[]> {
  const own = await ownPlaces();
  return [
    ...own.map(fromPlace),
    ...(daemon?.members ?? []).flatMap((each) => fromMember(daemon, each)),
  ];
}

/** COMMAND's PID where a name is the PID of `slipway run`; otherwise the same text. Waits while it is being started. */
async function commandOf(name: string | null): Promise<string> {
  if (name === null || !isPid(name)) return name ?? "";
  const { meantProcess } = await import("../../netns/run-process.js");
  return `${await meantProcess(Number(name))}`;
}

/** @param command a further name of the member */
async function findNamed(
  name: string,
  command: string,
  daemon: Daemon | null,
): Promise<readonly Found[]> {
  const own = await ownPlaceNamed(name);
  const { memberNamed } = await import("./members.js");
  const members = daemon?.members ?? [];
  const member = memberNamed(members, name) ?? memberNamed(members, command);
  const { otherGuests } = await import("./others.js");
  const others = otherGuests().filter((other) => isCalled(other, name));
  const found = [
    ...(own === null ? [] : [fromPlace(own)]),
    ...(member === undefined ? [] : fromMember(daemon, member)),
    ...others.map(({ place }) => fromPlace(place)),
  ];
  if (found.length > 0 || !isPid(name)) return found;
  return (await findProcess(name)).map(fromPlace);
}

function isCalled({ id, name }: OtherGuest, text: string): boolean {
  if (name !== null && isSameName(name, text)) return true;
  return text.length >= LEAST_ID_DIGITS && id?.startsWith(text) === true;
}

/** The guests that a process serves, or that end with it. */
async function findProcess(pid: string): Promise<readonly Place[]> {
  const { otherGuests } = await import("./others.js");
  const places = [...(await ownPlaces()), ...otherGuests().map(({ place }) => place)];
  const are = await Promise.all(
    places.map(async (place) => {
      // Who does not answer is another program.
      const answer = await request(place, "query_status", {}, status).catch(() => null);
      return `${answer?.pid}` === pid || `${answer?.target}` === pid;
    }),
  );
  return places.filter((_, index) => are[index]);
}

/** @returns null when there is none; an error when it does not answer us */
async function openDaemon(): Promise<Daemon | UserError | null> {
  try {
    const socket = daemonSocket();
    if (!existsSync(socket)) return null;
    const { askMembers } = await import("./members.js");
    return await askMembers(socket);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

function warnOfMembers({ message }: UserError): void {
  process.stderr.write(`${programName()}: warning: members are left out: ${message}\n`);
}

function fromPlace(place: Place): Found {
  const { name, socket } = place.identity;
  if (name !== undefined) return { label: name, kind: "name", places: [place] };
  return { label: path.basename(socket ?? "", ".sock"), kind: "process", places: [place] };
}

function fromMember(daemon: Daemon | null, member: Daemon["members"][number]): readonly Found[] {
  const [first, ...others] = daemon?.placesOf(member) ?? [];
  if (first === undefined) return [];
  return [{ label: member.name, kind: "name", places: [first, ...others] }];
}

function notFound(name: string | null): UserError {
  if (name === null) {
    return new UserError(
      "no running network found: start one with slipway run or slipway attach, or name its socket with --api-socket PATH",
    );
  }
  return new UserError(
    `nothing that runs is called ${quoted(name)}: slipway status shows the running networks, slipway ps the members`,
  );
}

/** One that has its name for itself, or a way to another's socket. */
function exampleOf(found: readonly Found[]): string {
  const isUnique = ({ label }: Found): boolean =>
    found.filter((each) => each.label === label).length === 1;
  const named = found.find((each) => each.kind === "name" && isUnique(each));
  if (named !== undefined) return `as in --name ${named.label}`;
  const process = found.find((each) => each.kind === "process");
  if (process !== undefined) return `as in --api-socket ${process.label}`;
  return "as in --name PID, by the processes that slipway status shows";
}

function severalFound(found: readonly Found[]): UserError {
  const labelsOf = (kind: Found["kind"]): string[] =>
    found.filter((each) => each.kind === kind).map(({ label }) => label);
  const [processes, names] = [labelsOf("process"), labelsOf("name")];
  const which = [
    ...(processes.length > 0 ? [`of processes ${processes.join(", ")}`] : []),
    ...(names.length > 0 ? [`named ${names.join(", ")}`] : []),
  ].join(" and ");
  return new UserError(`several networks are running, ${which}: choose one, ${exampleOf(found)}`);
}
