/** Whether a namespace of a peer is that of this process. */
export type Whose = "own" | "other" | "unknown";

/** Who is at the other end of a local connection, as it was when it connected. */
export interface Peer {
  /** The network namespace; unknown before Linux 5.14. */
  readonly network: Whose;
  /**
   * The user namespace. Subordinate: another that maps more ids than its user's own, which takes the help of
   * newuidmap(1), outside of every guest: that of a container engine, and of its containers.
   */
  readonly users: Whose | "subordinate";
  /** The PID namespace. */
  readonly processes: Whose;
}

/** Whom a socket of ours is for. */
export type Audience =
  /** Processes of our network namespace, in whatever other namespaces. */
  | "network"
  /** The user's processes and container engines, but no process in a guest or a container. */
  | "user"
  /** Processes in containers of engines, too: the user said so (--serve-containers). */
  | "containers";

/** The namespace for which a peer is refused; process: it has ended, so that its namespaces are unknown. */
export type RefusalReason = "network" | "user" | "PID" | "process";

/**
 * Why a peer is not served; null: it is.
 *
 * | network | users       | processes | such as                                  | network | user | containers |
 * |---------|-------------|-----------|------------------------------------------|---------|------|------------|
 * | own     | own         | own       | a program of the user                    | yes     | yes  | yes        |
 * | own     | subordinate | own       | podman, its hooks and helpers            | yes     | yes  | yes        |
 * | own     | other       | own       | a program below `unshare --user`, bwrap  | yes     | no   | no         |
 * | own     | own, other  | other     | docker's container in the host's network | yes     | no   | no         |
 * | own     | subordinate | other     | podman's container there                 | yes     | no   | yes        |
 * | own     | unknown     | unknown   | a process that has ended                 | yes     | no   | no         |
 * | other   | own, other  | any       | COMMAND of `slipway run`, and what it    | no      | no   | no         |
 * |         |             |           | makes: it maps no id but its user's      |         |      |            |
 * | other   | subordinate | any       | a container, a hook or a CNI plugin in   | no      | no   | yes        |
 * |         |             |           | its namespaces                           |         |      |            |
 * | other   | unknown     | unknown   | any that has ended                       | no      | no   | no         |
 * | unknown | any         | any       | anybody, before Linux 5.14               | yes     | yes  | yes        |
 */
export function refusalReason(
  { network, users, processes }: Peer,
  audience: Audience,
): RefusalReason | null {
  if (network === "unknown") return null;
  if (audience === "network") return network === "other" ? "network" : null;
  if (audience === "containers" && users === "subordinate") return null;
  if (network === "other") return "network";
  if (users === "unknown" || processes === "unknown") return "process";
  if (users === "other") return "user";
  return processes === "own" ? null : "PID";
}
