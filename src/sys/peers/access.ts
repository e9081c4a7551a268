/** Whether a peer is in the same namespace as this process. */
export type NamespaceRelation = "own" | "other" | "unknown";

/** The namespaces of the process at the other end of a local connection, as of its connect(2). */
export interface Peer {
  /** The network namespace; unknown before Linux 5.14. */
  readonly network: NamespaceRelation;
  /**
   * The user namespace. Subordinate: another one, which maps more ids than its user's own. Setting that up takes
   * newuidmap(1) outside of every guest, as container engines do for themselves and their containers.
   */
  readonly users: NamespaceRelation | "subordinate";
  /** The PID namespace. */
  readonly processes: NamespaceRelation;
}

/** Which processes a socket of ours serves. */
export type Audience =
  /** All processes in our network namespace, whatever their other namespaces. */
  | "network"
  /** The user's processes and container engines, but nothing in a guest or a container. */
  | "user"
  /** Processes in containers of engines, too, as the user allowed with --serve-containers. */
  | "containers";

/** Why a peer is denied: the namespace that differs, or `process`: it has ended, so its namespaces are not known. */
export type RefusalReason = "network" | "user" | "PID" | "process";

/**
 * Why a peer is denied; null: it is served. The last three columns are the audiences.
 *
 * | network | users       | processes | such as                                  | network | user | containers |
 * |---------|-------------|-----------|------------------------------------------|---------|------|------------|
 * | own     | own         | own       | a program of the user                    | yes     | yes  | yes        |
 * | own     | subordinate | own       | podman, its hooks and helpers            | yes     | yes  | yes        |
 * | own     | other       | own       | a program below `unshare --user`, bwrap  | yes     | no   | no         |
 * | own     | own, other  | other     | a docker container in the host's network | yes     | no   | no         |
 * | own     | subordinate | other     | a podman container there                 | yes     | no   | yes        |
 * | own     | unknown     | unknown   | a process that has ended                 | yes     | no   | no         |
 * | other   | own, other  | any       | COMMAND of `slipway run` and its         | no      | no   | no         |
 * |         |             |           | children: only the user's own id mapped  |         |      |            |
 * | other   | subordinate | any       | a container, a hook or a CNI plugin in   | no      | no   | yes        |
 * |         |             |           | its namespaces                           |         |      |            |
 * | other   | unknown     | unknown   | a process that has ended                 | no      | no   | no         |
 * | unknown | any         | any       | any process, before Linux 5.14           | yes     | yes  | yes        |
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
