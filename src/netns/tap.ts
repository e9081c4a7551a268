import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import type { Mac } from "../base/mac.js";
import type { AddressPlan } from "../config/plan.js";
import * as abi from "../rpc/launcher-abi.js";
import { Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import {
  addAddress,
  addDefaultRoute,
  LOOPBACK_IFINDEX,
  linkUp,
  setLink,
} from "../wire/rtnetlink.js";

const { EACCES, EBUSY, EINVAL, ENOENT, ENOSPC, EPERM } = constants.errno;

/** A namespace without IPv6 stays without, as it would have without us. */
const NO_IPV6: readonly number[] = abi.NO_IPV6.map((name) => constants.errno[name]);

/** A network namespace by its files. */
export interface Namespace {
  /** /proc/PID/ns/net, or wherever it is mounted. */
  readonly netns: string;
  /** The user namespace to enter, or null for the owner of the network namespace. */
  readonly userns: string | null;
}

/** What to set in the namespace beside opening the TAP. */
export interface TapSettings {
  readonly plans: readonly AddressPlan[];
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
  /** Length of the TAP's queue, in frames: the kernel drops silently what exceeds it. */
  readonly txqueuelen: number;
  /** Of the TAP; absent: the one that the kernel gave it. */
  readonly mac?: Mac;
  /** Of the default routes; null: there are none. Absent: one TAP, one route. */
  readonly metric?: number | null;
}

export interface Tap {
  /** A handle of the addon, non-blocking. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
}

/**
 * Opens the TAP `name` in a namespace, creating it when it does not exist; with settings it also
 * brings up lo and the TAP with its addresses and default routes. On an error nothing is left.
 * @throws UserError
 */
export function openTap(namespace: Namespace, name: string, settings: TapSettings | null): Tap {
  const agent = native.openAgent(namespace.userns, namespace.netns);
  if (agent < 0) throw systemFailure(agent, namespace);
  try {
    const fd = native.agentOpenTap(agent, name, true);
    if (fd < 0) throw systemFailure(fd, namespace);
    try {
      if (settings !== null) configure(agent, namespace, name, settings);
    } catch (error) {
      native.close(fd);
      throw error;
    }
    return { fd, vnetHeader: true };
  } finally {
    native.closeAgent(agent);
  }
}

/** Brings up lo, and nothing else. @throws UserError */
export function setLoopbackUp(namespace: Namespace): void {
  const agent = native.openAgent(namespace.userns, namespace.netns);
  if (agent < 0) throw systemFailure(agent, namespace);
  const result = native.agentNetlink(agent, linkUp(LOOPBACK_IFINDEX));
  native.closeAgent(agent);
  if (result < 0) throw settingFailure(result, "bring up lo", namespace);
}

/** Whether a namespace has an interface of that name. @throws UserError */
export function hasInterface(namespace: Namespace, name: string): boolean {
  const agent = native.openAgent(namespace.userns, namespace.netns);
  if (agent < 0) throw systemFailure(agent, namespace);
  try {
    return native.agentIfindex(agent, name) >= 0;
  } finally {
    native.closeAgent(agent);
  }
}

/**
 * What no other network namespace has, or has had since the boot (SO_NETNS_COOKIE, Linux 5.14).
 * @returns null when it is not known
 * @throws UserError
 */
export function cookieOf(namespace: Namespace): bigint | null {
  const resident = openResident(namespace);
  const socket = resident.socket(Socket.Inet, Socket.Datagram, 0);
  resident.close();
  if (socket < 0) return null;
  const bytes = new Uint8Array(8);
  const length = native.getsockoptBytes(socket, Socket.LevelSocket, Socket.NetnsCookie, bytes);
  native.close(socket);
  return length === bytes.length ? new DataView(bytes.buffer).getBigUint64(0, true) : null;
}

/** A process of ours that stays in a namespace to make sockets there. */
export interface Resident {
  /** As socket(2). @returns a handle, non-blocking, or a negative errno */
  socket(domain: number, type: number, protocol: number): number;
  close(): void;
}

/**
 * Sends a process of ours into a namespace.
 * @throws UserError
 */
export function openResident(namespace: Namespace): Resident {
  const agent = native.openAgent(namespace.userns, namespace.netns);
  if (agent < 0) throw systemFailure(agent, namespace);
  return {
    socket: (domain, type, protocol) => native.agentSocket(agent, domain, type, protocol),
    close: () => native.closeAgent(agent),
  };
}

function configure(agent: number, namespace: Namespace, name: string, settings: TapSettings): void {
  const tap = native.agentIfindex(agent, name);
  if (tap < 0) throw systemFailure(tap, namespace);
  let leftOut = 0;
  for (const { purpose, message, optional } of tapRequests(tap, name, settings)) {
    if (leftOut > 0) {
      leftOut -= 1;
      continue;
    }
    const result = native.agentNetlink(agent, message);
    if (result >= 0) continue;
    if (optional === 0 || !NO_IPV6.includes(-result)) {
      throw settingFailure(result, purpose, namespace);
    }
    leftOut = optional - 1;
  }
}

/** One request of netlink. */
export interface TapRequest {
  /** For the words of a failure. */
  readonly purpose: string;
  readonly message: Uint8Array;
  /** So many from here on are left out where the namespace has no IPv6; 0: it must succeed. */
  readonly optional: number;
}

/**
 * What brings up lo and a TAP with its addresses and default routes, in order.
 * @param tap its index
 */
export function tapRequests(
  tap: number,
  name: string,
  settings: TapSettings,
): readonly TapRequest[] {
  const { plans, metric, ...link } = settings;
  const { mtu } = link;
  const request = (purpose: string, message: Uint8Array, optional = 0): TapRequest => ({
    purpose,
    message,
    optional,
  });
  const routes = metric === null ? 0 : 1;
  return [
    request("bring up lo", linkUp(LOOPBACK_IFINDEX)),
    request(`set ${name} to MTU ${mtu}`, setLink(tap, link)),
    request(`bring up ${name}`, linkUp(tap)),
    ...plans.flatMap(({ guest, prefix, router }) => {
      const address = addAddress(tap, guest, prefix.length);
      const optional = guest.family === 6 ? 1 + routes : 0;
      const given = request(`give ${name} the address ${guest}`, address, optional);
      if (metric === null) return [given];
      const route = addDefaultRoute(tap, router, metric);
      return [given, request(`make ${router} the default gateway`, route)];
    }),
  ];
}

function settingFailure(result: number, purpose: string, { netns }: Namespace): UserError {
  const where = ownerOf(netns);
  return new UserError(
    `cannot ${purpose} in the namespace of ${where}: ${nameOf(result)}: see what is set there: ip addr; ip route`,
  );
}

/**
 * The last failure of an agent or a spawned child in the words of the user.
 * @param result the negative errno that the call returned
 * @param namespace the namespace it was about; null for a new one
 */
export function systemFailure(result: number, namespace: Namespace | null): UserError {
  const { step, path } = native.lastError();
  const where = namespace === null ? "a new namespace" : ownerOf(namespace.netns);
  return new UserError(sentence({ step, path, where, errno: -result }));
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
    case "resolv-conf":
      return errno === ENOENT
        ? "/etc/resolv.conf does not exist, so the namespace cannot have its own: sudo touch /etc/resolv.conf"
        : otherSentence(failure);
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
      ? // Not dumpable is also a container whose runtime has not executed its program yet.
        `${owner} is closed to you, as it belongs to another user or its program has not started: run slipway as that user, or later`
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
  return `user namespaces are forbidden here (${step}, ${nameOf(-errno)}): slipway doctor tells how to allow them`;
}

function otherSentence({ step, path, where, errno }: Failure): string {
  const what = path === "" ? step : `${step} ${path}`;
  return `${what} failed for ${where}: ${nameOf(-errno)}: slipway doctor checks what it may be`;
}

/** What the user calls the namespace of a file: its process, if it is one's. */
function ownerOf(path: string): string {
  const pid = /^\/proc\/(\d+)\/ns\/(net|user)$/.exec(path)?.[1];
  return pid === undefined ? path : `process ${pid}`;
}

function nameOf(result: number): string {
  return getSystemErrorName(result);
}
