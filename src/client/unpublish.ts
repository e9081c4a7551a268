import * as v from "valibot";
import { UserError } from "../base/errors.js";
import { readPublishedPlace } from "../commandline/publish-option.js";
import type { Loop } from "../loop/loop.js";
import { askMember } from "./member-api.js";
import type { Session } from "./session.js";

const removed = v.object({ return: v.object({}) });

/**
 * Stops publishing a port of a member, or a range.
 * @param port of the host, in the notation of `slipway port rm`
 * @throws UserError when it is not published
 */
export async function unpublish(
  session: Session,
  loop: Loop,
  member: string,
  port: string,
): Promise<void> {
  const { protocol: proto, host, hostPort: host_port, count } = readPublishedPlace(port, "port");
  const at = host === null ? {} : { host_addr: `${host}` };
  const request = { execute: "remove_hostfwd", arguments: { proto, host_port, count, ...at } };
  const answer = await askMember(session, loop, { member, network: null }, JSON.stringify(request));
  if (!v.is(removed, JSON.parse(answer))) {
    throw new UserError(`${port} is not published: slipway port ls --name ${member}`);
  }
  // The threads answer this one, too, and tell of their ports before.
  await session.request("member.list", {});
}
