/** A network namespace by its files. */
export interface Namespace {
  /** /proc/PID/ns/net, or wherever it is mounted. */
  readonly netns: string;
  /** The user namespace to enter, or null for the owner of the network namespace. */
  readonly userns: string | null;
}
