import { readFileSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import { Stdio } from "../../base/stdio.js";
import { type JoinedAttachment, type Joining, join } from "../../client/connect.js";
import { withRunningDaemon } from "../../client/running-daemon.js";
import type { Session } from "../../client/session.js";
import { openAttachment } from "../../client/taps.js";
import type { Namespace } from "../../netns/namespace.js";
import type { NamespaceRef } from "../../rpc/messages.js";
import { namespaceId, namespaceRef, netnsOf, statFields } from "../../rpc/namespaces.js";
import { writeNames } from "./config.js";
import { type ContainerState, parseState } from "./state.js";

/** The label by which a container's member is found again; its value is the container's id. */
const LABEL = "io.slipway.oci";

const OWN_NAMESPACE = netnsOf("self");

/**
 * `slipway oci-hook`: attaches the container whose state is on stdin, or detaches it if it has stopped.
 * @throws UserError, on which the runtime removes the container
 */
export async function ociHook(): Promise<void> {
  const state = parseState(readFileSync(Stdio.Input, "utf8"));
  await withRunningDaemon((session) => {
    if (state.isStopped) return leave(session, state);
    if (session === null) throw new UserError("the daemon is not running: slipway daemon start");
    return enter(session, state);
  });
}

async function enter(session: Session, state: ContainerState): Promise<void> {
  const { id, name, attachments, publish } = state;
  const { namespace: hosts } = await session.request("status", {});
  const { namespace, entrance } = containerNamespace(state.pid, hosts);
  const joined: JoinedAttachment[] = [];
  try {
    for (const attachment of attachments) {
      const joining: Joining = {
        name,
        namespace,
        attachments: [attachment],
        labels: { [LABEL]: id },
      };
      joined.push(await join(session, joining, (given) => openAttachment(entrance, given)));
    }
    const [first] = joined;
    if (first === undefined) return;
    if (publish.length > 0) {
      await session.request("member.publish", { member: first.id, ports: [...publish] });
    }
    const given = joined.map((each) => each.given);
    writeNames(state, first.member, given);
  } catch (error) {
    // The runtime calls no poststop hook when this one fails.
    await leave(session, state);
    throw error;
  }
}

/** Detaches a container. It may be gone already, as its attachments end with its process. */
async function leave(session: Session | null, { id }: ContainerState): Promise<void> {
  if (session === null) return;
  const members = await session.request("member.list", {});
  for (const member of members.filter(({ labels }) => labels[LABEL] === id)) {
    for (const { network } of member.networks) {
      await session
        .request("member.disconnect", { network, member: member.id })
        .catch(() => undefined);
    }
  }
}

/**
 * The container's network namespace. A createRuntime hook runs outside of it and reads the container's PID in the
 * state; a createContainer hook runs inside it, as a child of the container's process.
 * @param hosts id of the host's network namespace, which no container may have
 * @returns how the daemon names the namespace, and how this process enters it
 * @throws UserError when the hook runs outside of the container and may not read its namespaces
 */
function containerNamespace(
  pid: number,
  hosts: string,
): { readonly namespace: NamespaceRef; readonly entrance: Namespace } {
  const told = pid > 0 ? refOf(netnsOf(pid), pid) : null;
  const own = namespaceId(OWN_NAMESPACE);
  if (told !== null && told.id !== hosts && told.id !== own) {
    return { namespace: told, entrance: told };
  }
  if (own === hosts) {
    throw new UserError(
      `oci-hook: cannot read the namespaces of the container's process ${pid} before its program starts: use a createContainer hook, in a container with a network namespace of its own`,
    );
  }
  const container = ownParent();
  const namespace = namespaceRef(OWN_NAMESPACE, null, container);
  return {
    namespace: { ...namespace, netns: netnsOf(container) },
    entrance: { netns: OWN_NAMESPACE, userns: null },
  };
}

/** @returns null when the process has ended, or we may not read its namespaces */
function refOf(netns: string, pid: number): NamespaceRef | null {
  try {
    return namespaceRef(netns, null, pid);
  } catch {
    return null;
  }
}

/** Our parent's PID in the PID namespace of the mounted /proc; getppid(2) returns the one in the container's. */
function ownParent(): number {
  return Number(statFields(readFileSync("/proc/self/stat", "utf8"))[1]);
}
