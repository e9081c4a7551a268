import { askMember } from "../../client/member-api.js";
import { Session } from "../../client/session.js";
import { findByName } from "../../config/names.js";
import { Loop } from "../../loop/loop.js";
import type { MemberReport } from "../../rpc/reports.js";
import type { Place } from "./place.js";

/** A daemon that runs, and the members of its networks. */
export interface Daemon {
  readonly members: readonly MemberReport[];
  /** Waits until the daemon has kept what was changed, and leaves it. */
  close(): Promise<void>;
  /** The places of a member; that of its published ports comes first. */
  placesOf(member: MemberReport): readonly Place[];
}

/** @returns null when no daemon listens at the socket @throws UserError when it does not serve us */
export async function askMembers(socket: string): Promise<Daemon | null> {
  const loop = new Loop();
  loop.start();
  const session = await open(socket, loop);
  if (session === null) return null;
  const leave = (): void => {
    session.close();
    loop.stop();
  };
  try {
    const members = await session.request("member.list", {});
    return {
      members,
      placesOf: (member) => placesOf(session, loop, member),
      // The threads answer this one, too, and tell of their ports before.
      close: () =>
        session
          .request("member.list", {})
          .then(() => undefined)
          .finally(leave),
    };
  } catch (error) {
    leave();
    throw error;
  }
}

/** A member by name, id or process. */
export function memberNamed(
  members: readonly MemberReport[],
  text: string,
): MemberReport | undefined {
  return findByName(members, text) ?? members.find(({ pid }) => `${pid}` === text);
}

async function open(socket: string, loop: Loop): Promise<Session | null> {
  try {
    const session = await Session.open(socket, loop, () => undefined);
    if (session === null) loop.stop();
    return session;
  } catch (error) {
    loop.stop();
    throw error;
  }
}

function placesOf(session: Session, loop: Loop, { name, networks }: MemberReport): Place[] {
  const outward = networks.filter(({ internal }) => !internal);
  const inward = networks.filter(({ internal }) => internal);
  return [...outward, ...inward].map(({ network }) => ({
    label: `member ${name}`,
    identity: { socket: null, name, member_of: network },
    ask: (request) => askMember(session, loop, { member: name, network }, request),
  }));
}
