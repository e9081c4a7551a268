import { UserError } from "../../base/errors.js";
import type { GivenMember, Params } from "../../rpc/messages.js";
import type { Disconnected, LocatedMember, MemberReport } from "../../rpc/reports.js";
import { native } from "../../sys/native.js";
import { isUserOrRoot } from "../../sys/peers/peer.js";
import type { Attachment } from "../attachment.js";
import type { Overlays } from "../cluster/overlays.js";
import { type Member, needsAuto, outboundAttachmentOf } from "../member.js";
import type { Members } from "../members.js";
import type { Networks } from "../networks.js";
import { memberReport } from "../report.js";
import { notBack, type Returning } from "../returning.js";
import type { Client } from "../server.js";
import type { StateKeeper } from "../state/keeper.js";
import type { TapHolders } from "../tap-holders.js";
import type { DataPlane } from "../workers/plane.js";
import type { Handlers } from "./handlers.js";

export interface MemberRequestsContext {
  readonly plane: DataPlane;
  readonly networks: Networks;
  readonly members: Members;
  readonly overlays: Overlays | null;
  readonly keeper: StateKeeper;
  readonly holders: TapHolders;
  readonly returning: Returning;
  /** The clients whose end is the end of a member, by the members' ids. */
  readonly clients: Map<string, Client>;
  readonly warn: (warning: string) => void;
}

/** Carries out requests about members. */
export class MemberRequests {
  readonly #context: MemberRequestsContext;

  constructor(context: MemberRequestsContext) {
    this.#context = context;
  }

  readonly handlers: Pick<
    Handlers,
    | "member.list"
    | "member.join"
    | "member.attach"
    | "member.publish"
    | "member.api"
    | "member.disconnect"
    | "member.locate"
    | "member.started"
    | "member.confirm"
  > = {
    "member.list": () => this.#list(),
    "member.join": (spec, client) => this.#join(spec, client),
    "member.attach": (params, client, passed) => this.#attach(params, client, passed),
    "member.publish": (params, _client, passed) => this.#publish(params, passed),
    "member.api": async ({ member, network }, _client, passed) => {
      // #syscalls daemon: getsockopt(1=SOL_SOCKET;2=SO_PEERCRED)
      if (passed === null || !isUserOrRoot(native.peerUid(passed))) {
        throw new UserError("member.api: no UNIX socket came along");
      }
      const { members } = this.#context;
      await members.serveApi(members.get(member), network, passed);
      return {};
    },
    "member.disconnect": (params) => this.#disconnect(params),
    "member.locate": (params) => this.#locate(params),
    "member.started": ({ member: name, namespace }, client) => {
      const { members, holders, keeper, returning } = this.#context;
      const member = members.get(name);
      // Of another client's member nobody else knows: a run that joins again may be on one that was made meanwhile.
      if (!holders.start(member.id, client)) return {};
      member.namespace = namespace;
      keeper.saveQuietly();
      returning.remove(member.id);
      return {};
    },
    "member.confirm": ({ serial }, client) => {
      this.#context.holders.confirm(client, serial);
      return {};
    },
  };

  onDetached(member: Member, attachment: Attachment): void {
    if (member.autoBy === attachment) member.autoBy = null;
    const network = attachment.network.name;
    const auto = needsAuto(member);
    this.#context.holders.tell(member.id, { kind: "detached", network, auto });
  }

  /** A port that cannot be published costs no other. */
  async publishAgain({ id: member }: Member, ports: readonly string[]): Promise<void> {
    for (const port of ports) {
      try {
        await this.#publish({ member, ports: [port], auto: null }, null);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.#context.warn(error.message);
      }
    }
  }

  /** What overlays must give is taken first, and whatever fails gives it back. */
  async #join(spec: Params<"member.join">, client: Client): Promise<GivenMember> {
    const { overlays } = this.#context;
    if (overlays === null) return this.#joinNow(spec, client);
    const claimed = await overlays.claim(spec);
    try {
      return this.#joinNow(claimed.spec, client);
    } finally {
      claimed.end();
    }
  }

  #joinNow(spec: Params<"member.join">, client: Client): GivenMember {
    const { members, clients, holders } = this.#context;
    const before = members.all.filter(({ awaitedIn }) => awaitedIn === null);
    const given = members.join(spec);
    const member = given.id;
    for (const { network } of given.attachments) {
      client.pending.set(`${member} ${network}`, { member, network });
    }
    // Attachments that are added to a member end with that member, whoever added them.
    if (!spec.stays && before.every(({ id }) => id !== member)) {
      client.members.add(given.id);
      clients.set(given.id, client);
      if (spec.keepsTaps) {
        holders.add(member, client);
        members.get(member).client = client.process();
      }
    }
    return given;
  }

  async #list(): Promise<readonly MemberReport[]> {
    const statistics = await this.#context.plane.statistics();
    return this.#context.members.all.map((member) => memberReport(member, statistics));
  }

  async #attach(
    params: Params<"member.attach">,
    client: Client,
    passed: number | null,
  ): Promise<Record<string, never>> {
    if (passed === null) throw new UserError("member.attach: no TAP came along");
    const { members, overlays, holders } = this.#context;
    const attachment = await members.attach(params, passed);
    client.pending.delete(`${params.member} ${params.network}`);
    await overlays?.show(attachment);
    const member = members.get(params.member);
    if (!holders.isElsewhere(member.id, client)) return {};
    const auto = needsAuto(member);
    const event = { kind: "attached", attachment: attachment.given, auto } as const;
    holders.tell(member.id, event, passed);
    if (auto) await holders.whenConfirmed(member.id);
    return {};
  }

  async #disconnect({ network, member: name }: Params<"member.disconnect">): Promise<Disconnected> {
    const { members, networks, holders } = this.#context;
    const member = members.get(name);
    const attachment = await members.disconnect(member, networks.get(network));
    const isGone = await holders.whenConfirmed(member.id);
    const { client: pid } = member;
    const { ifname } = attachment;
    if (isGone || pid === null || ifname === null) return { kept: null };
    return { kept: { member: member.name, ifname, pid } };
  }

  async #locate({
    name,
    process: pid,
    waits,
  }: Params<"member.locate">): Promise<LocatedMember | null> {
    const { members, holders } = this.#context;
    const named = name === null ? undefined : members.byName(name);
    const member = named ?? (pid === null ? undefined : members.byProcess(pid));
    if (member === undefined) return null;
    if (waits && !(await holders.whenStarted(member.id))) {
      throw new UserError(`member ${member.name} is still being started: try again`);
    }
    if (waits && member.awaitedIn !== null) throw new UserError(notBack(member));
    const { id, namespace } = member;
    return {
      id,
      name: member.name,
      pid: namespace?.pid ?? null,
      netns: namespace?.netns ?? null,
    };
  }

  async #publish(
    params: Params<"member.publish">,
    listening: number | null,
  ): Promise<readonly string[]> {
    const { members, plane } = this.#context;
    const member = members.get(params.member);
    member.wantsAuto ||= params.auto !== null;
    const attachment = members.outboundAttachment(member);
    const by = outboundAttachmentOf(member);
    // By then the host's ports of members that have gone are free.
    await plane.settled();
    const lines = await attachment.publish({ ports: params.ports, auto: params.auto, listening });
    // An attachment that was ended meanwhile has taken the ports along: the next one gets them, if there is one.
    if (by === undefined || !member.attachments.includes(by))
      return this.#publish(params, listening);
    if (params.auto !== null) member.autoBy = by;
    return lines;
  }
}
