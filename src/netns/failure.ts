import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { quoted } from "../base/printable.js";
import { native } from "../sys/native.js";
import type { Namespace } from "./namespace.js";

const { EACCES, EBUSY, EINVAL, ENOENT, ENOSPC, EPERM } = constants.errno;

/**
 * A setting that netlink has refused, in the words of the user.
 * @param result the negative errno
 * @param purpose what was to be done, such as "bring up lo"
 * @param isWithoutIpv6 whether the namespace has no IPv6, which the setting needs
 */
export function settingFailure(
  result: number,
  purpose: string,
  { netns }: Namespace,
  isWithoutIpv6 = false,
): UserError {
  const advice = isWithoutIpv6
    ? "it has no IPv6: sysctl -w net.ipv6.conf.all.disable_ipv6=0 there"
    : "check what is set there: ip addr; ip route";
  return new UserError(
    `cannot ${purpose} in the namespace of ${ownerOf(netns)}: ${nameOf(result)}: ${advice}`,
  );
}

/** Why a namespace could not be opened or entered. */
export class NamespaceError extends UserError {
  /** Which of the two namespaces it was. */
  readonly kind: "network" | "user";
  /** As errno(3). */
  readonly errno: number;

  constructor(message: string, kind: NamespaceError["kind"], errno: number) {
    super(message);
    this.kind = kind;
    this.errno = errno;
  }
}

/**
 * The last failure of an agent or of a spawned child, in the words of the user.
 * @param result the negative errno that the call returned
 * @param namespace the namespace it was about; null for a new one
 */
export function systemFailure(result: number, namespace: Namespace | null): UserError {
  const { step, path } = native.lastError();
  const where = namespace === null ? "a new namespace" : ownerOf(namespace.netns);
  const text = sentence({ step, path, where, errno: -result });
  switch (step) {
    case "open-netns":
    case "check-netns":
    case "setns-net":
      return new NamespaceError(text, "network", -result);
    case "open-userns":
    case "check-userns":
    case "get-userns":
    case "setns-user":
      return new NamespaceError(text, "user", -result);
    default:
      return new UserError(text);
  }
}

interface Failure {
  readonly step: ReturnType<typeof native.lastError>["step"];
  /** What the step was about: a path or the TAP's name. */
  readonly path: string;
  readonly where: string;
  readonly errno: number;
}

function sentence(failure: Failure): string {
  const { step, path, where, errno } = failure;
  switch (step) {
    case "open-netns":
    case "open-userns":
      return openSentence(failure);
    case "check-netns":
      return `${path} is not a network namespace: give a file such as /proc/PID/ns/net`;
    case "check-userns":
      return `${path} is not a user namespace: give a file such as /proc/PID/ns/user`;
    case "get-userns":
    case "setns-user":
    case "setns-net":
      return `not permitted to enter the namespaces of ${where} (${step}, ${nameOf(-errno)}): run slipway as the user who made them`;
    case "open-tun":
      return tunSentence(errno);
    case "tunsetiff":
      return tapSentence(failure);
    case "unshare":
    case "setgroups":
    case "uid-map":
    case "gid-map":
      return usernsSentence(failure);
    case "newuidmap":
    case "newgidmap":
      return subordinateSentence(failure);
    case "resolv-conf":
      return errno === ENOENT
        ? "/etc/resolv.conf does not exist, so the namespace cannot have its own: sudo touch /etc/resolv.conf"
        : otherSentence(failure);
    case "directory":
      return workdirSentence(path, nameOf(-errno));
    case "none":
    case "socketpair":
    case "fork":
    case "agent":
    case "vnet-header":
    case "offload":
    case "ifindex":
    case "netlink":
    case "socket":
    case "mount":
    case "hide":
    case "pidfd-open":
    case "broker":
    case "keeper":
    case "empty-root":
    case "threads":
    case "seccomp":
      return otherSentence(failure);
  }
}

/** COMMAND cannot begin in a directory. @param error its name, such as ENOENT */
export function workdirSentence(path: string, error: string): string {
  return `--workdir ${quoted(path)}: COMMAND cannot begin there (${error}): check the path`;
}

function openSentence({ step, path, errno }: Failure): string {
  const owner = ownerOf(path);
  const isProcess = owner !== path;
  const example = step === "open-userns" ? "/proc/PID/ns/user" : "/proc/PID/ns/net";
  if (errno === ENOENT) {
    return isProcess
      ? `${owner} does not exist: give the PID of a running process`
      : `${path} does not exist: give a file such as ${example}`;
  }
  if (errno === EACCES || errno === EPERM) {
    return isProcess
      ? // A container whose runtime has not executed its program yet is not dumpable.
        `not permitted to open the namespaces of ${owner}: it belongs to another user, or its program has not started: run it as that user, or later`
      : `not permitted to open ${path}: run slipway as its owner`;
  }
  return `cannot open ${path}: ${nameOf(-errno)}: give a file such as ${example}`;
}

function tunSentence(errno: number): string {
  if (errno === EACCES || errno === EPERM) {
    return "not permitted to open /dev/net/tun: sudo chmod 0666 /dev/net/tun";
  }
  return `/dev/net/tun is missing (${nameOf(-errno)}): sudo modprobe tun, and see slipway doctor`;
}

function tapSentence({ path, where, errno }: Failure): string {
  switch (errno) {
    case EBUSY:
      return `TAP ${path} is in use in the namespace of ${where}: choose another name`;
    case EINVAL:
      return `${path} in the namespace of ${where} is not a TAP: choose another name`;
    case EPERM:
      return `TAP ${path} in the namespace of ${where} belongs to another user: choose another name`;
    default:
      return `cannot open TAP ${path} in the namespace of ${where}: ${nameOf(-errno)}: choose another name`;
  }
}

function usernsSentence({ step, errno }: Failure): string {
  if (errno === ENOSPC) {
    return "no more user namespaces are allowed: sudo sysctl -w user.max_user_namespaces=15000";
  }
  return `user namespaces are forbidden here (${step}, ${nameOf(-errno)}): slipway doctor shows how to allow them`;
}

function subordinateSentence({ step, path, errno }: Failure): string {
  return errno === ENOENT
    ? `--map-auto: ${step} is missing: sudo apt-get install uidmap`
    : `--map-auto: ${step} does not map the ids of ${path} here (${nameOf(-errno)}): unshare --user --map-auto true shows why`;
}

function otherSentence({ step, path, where, errno }: Failure): string {
  const what = path === "" ? step : `${step} ${path}`;
  return `${what} failed for ${where}: ${nameOf(-errno)}: run slipway doctor`;
}

/** A namespace's file as messages name it: `process PID` for one below /proc/PID. */
function ownerOf(path: string): string {
  const pid = /^\/proc\/(\d+)\/ns\/(net|user)$/.exec(path)?.[1];
  return pid === undefined ? path : `process ${pid}`;
}

function nameOf(result: number): string {
  return getSystemErrorName(result);
}
