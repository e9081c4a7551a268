/** Resource use of a helper, from /proc: the process with all threads and all its descendants. */
import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ, the unit of /proc/PID/stat: 100 on every architecture that Slipway runs on. */
const TICKS_PER_SECOND = 100;

export interface Memory {
  /** Bytes. */
  readonly resident: number;
  /** Bytes; null if smaps_rollup is not readable: another user's or an undumpable process. */
  readonly privateDirty: number | null;
}

/** CPU seconds used so far, including children that have been waited for. */
export function cpuSeconds(pid: number): number {
  return sum(family(pid).map((member) => parseCpuTicks(read(member, "stat")))) / TICKS_PER_SECOND;
}

/** Context switches so far, of both kinds, of all threads. */
export function contextSwitches(pid: number): number {
  const threads = family(pid).flatMap((member) =>
    readdirSync(`/proc/${member}/task`).map((thread) => read(member, `task/${thread}/status`)),
  );
  return sum(
    threads.map(
      (status) =>
        parseField(status, "voluntary_ctxt_switches") +
        parseField(status, "nonvoluntary_ctxt_switches"),
    ),
  );
}

export function memory(pid: number): Memory {
  const members = family(pid);
  return {
    resident: sum(members.map((member) => 1024 * parseField(read(member, "status"), "VmRSS"))),
    privateDirty: privateDirty(members),
  };
}

function privateDirty(members: readonly number[]): number | null {
  try {
    return sum(
      members.map((member) => 1024 * parseField(read(member, "smaps_rollup"), "Private_Dirty")),
    );
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EACCES" || code === "EPERM") return null;
    throw error;
  }
}

/** utime + stime + cutime + cstime of a /proc/PID/stat line; the name in it may contain anything. */
export function parseCpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // proc(5) counts from 1 and utime is field 14; the slice begins with field 3.
  return sum(fields.slice(11, 15).map(Number));
}

/**
 * The number behind `NAME:` in a file of such lines, like status or smaps_rollup.
 * @throws RangeError if there is none.
 */
export function parseField(text: string, name: string): number {
  const match = new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text);
  if (match === null) throw new RangeError(`no field ${name}`);
  return Number(match[1]);
}

/** The processes of a session, by the process that leads it: of a daemon, itself and what it has started. */
export function session(leader: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => sessionOf(pid) === leader);
}

/** Null if the process has ended. */
function sessionOf(pid: number): number | null {
  try {
    const stat = read(pid, "stat");
    const [state, , , id] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? null : Number(id);
  } catch {
    return null;
  }
}

/** The process and its descendants. */
function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    read(pid, `task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(family)];
}

function read(pid: number, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, "utf8");
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
