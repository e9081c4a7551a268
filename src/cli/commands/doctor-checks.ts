import { closeSync, constants, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { errnoOf } from "../../base/errors.js";
import { isOlderRelease, UDP_OFFLOAD_RELEASE } from "../../sys/release.js";

/** What one check of the machine found. */
export interface Finding {
  readonly subject: string;
  readonly state: "ok" | "warning" | "problem";
  readonly found: string;
  /** The command that fixes it, or what to do; null: nothing to fix. */
  readonly fix: string | null;
}

/** fsopen and move_mount came with Linux 5.2, pidfd_open with 5.3, waiting for a pidfd with 5.4, close_range with 5.9. */
const KERNEL_LEAST = [5, 10] as const;
const NODE_LEAST = 22;
const TUN = "/dev/net/tun";

/** @param release as uname(2) has it: 6.1.0-13-amd64 */
export function checkKernel(release: string): Finding {
  const subject = "kernel";
  if (isOlderRelease(release, KERNEL_LEAST)) {
    return {
      subject,
      state: "problem",
      found: `${release}, older than ${KERNEL_LEAST.join(".")}`,
      fix: "sudo apt-get dist-upgrade && sudo reboot",
    };
  }
  const offload = isOlderRelease(release, UDP_OFFLOAD_RELEASE)
    ? ", without UDP offload (6.2 has it)"
    : "";
  return { subject, state: "ok", found: release + offload, fix: null };
}

/** @param version without the v: 22.1.0 */
export function checkNode(version: string): Finding {
  const subject = "Node.js";
  if (Number.parseInt(version, 10) >= NODE_LEAST) {
    return { subject, state: "ok", found: version, fix: null };
  }
  return {
    subject,
    state: "problem",
    found: `${version}, older than ${NODE_LEAST}`,
    fix: `export SLIPWAY_NODE=/path/to/node (version ${NODE_LEAST} or newer)`,
  };
}

/** Whether a TAP can be made. Opening the device does not make one yet. */
export function checkTun(): Finding {
  const subject = TUN;
  try {
    closeSync(openSync(TUN, constants.O_RDWR));
    return { subject, state: "ok", found: "can be opened", fix: null };
  } catch (error) {
    const code = errnoOf(error);
    const isForbidden = code === "EACCES" || code === "EPERM";
    return {
      subject,
      state: "problem",
      found: isForbidden ? `may not be opened (${code})` : `is missing (${code})`,
      fix: isForbidden
        ? `sudo chmod 0666 ${TUN}`
        : `sudo modprobe tun; sudo mkdir -p /dev/net; sudo mknod -m 0666 ${TUN} c 10 200`,
    };
  }
}

/**
 * One of the sysctls user.max_*_namespaces.
 * @param text its value, or null on a kernel without it
 */
export function checkLimit(name: string, text: string | null): Finding {
  const count = Number(text ?? Number.NaN);
  if (count === 0) return sysctlFinding("problem", name, "0", "15000");
  return { subject: name, state: "ok", found: text ?? "no limit", fix: null };
}

/**
 * kernel.unprivileged_userns_clone, which Debian and Ubuntu kernels had.
 * @param text its value, or null on a kernel without it
 */
export function checkUnprivilegedClone(text: string | null): Finding {
  const subject = "kernel.unprivileged_userns_clone";
  if (text === "0") return sysctlFinding("warning", subject, "0", "1");
  return { subject, state: "ok", found: text ?? "not on this kernel", fix: null };
}

/**
 * kernel.apparmor_restrict_unprivileged_userns, which Ubuntu has had since 23.10.
 * @param text its value, or null on a kernel without it
 * @param program path of the launcher, for the profile that permits it
 */
export function checkAppArmor(text: string | null, program: string): Finding {
  const subject = "AppArmor";
  if (text === null || text === "0") {
    return { subject, state: "ok", found: "does not restrict user namespaces", fix: null };
  }
  const profile = `abi <abi/4.0>, profile slipway ${program} flags=(unconfined) { userns, }`;
  return {
    subject,
    state: "warning",
    found: "restricts user namespaces to programs with a profile",
    fix: `echo '${profile}' | sudo tee /etc/apparmor.d/slipway && sudo apparmor_parser -r /etc/apparmor.d/slipway`,
  };
}

/**
 * net.ipv4.ping_group_range, which permits ICMP echo sockets.
 * @param text its value, or null on a kernel without it
 * @param groups of the user
 */
export function checkPingGroups(text: string | null, groups: readonly number[]): Finding {
  const subject = "net.ipv4.ping_group_range";
  const [first = 1, last = 0] = text?.split(/\s+/).map(Number) ?? [];
  if (groups.some((group) => group >= first && group <= last)) {
    return { subject, state: "ok", found: `${first} ${last}`, fix: null };
  }
  const found = `${first} ${last}: ping reaches only the gateway`;
  return sysctlFinding("warning", subject, found, '"0 2147483647"');
}

/**
 * Seccomp and no_new_privs of our parent process.
 * @param status text of its /proc/PID/status, or null when that cannot be read
 */
export function checkConfinement(status: string | null): Finding {
  const subject = "confinement";
  const isFiltered = status !== null && /^Seccomp:\s*2$/m.test(status);
  const hasNoNewPrivs = status !== null && /^NoNewPrivs:\s*1$/m.test(status);
  if (isFiltered) {
    return {
      subject,
      state: "warning",
      found: "a seccomp filter is active, as in a container",
      fix: "if namespaces fail below: docker run --security-opt seccomp=unconfined …",
    };
  }
  if (hasNoNewPrivs) {
    return {
      subject,
      state: "warning",
      found: "no_new_privs is set: setuid programs do not work",
      fix: "if COMMAND needs setuid programs such as sudo: start slipway outside of the service or container that set it",
    };
  }
  return { subject, state: "ok", found: "none", fix: null };
}

/** The text of a small file without its last newline, or null when it cannot be read. */
export function readText(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trimEnd();
  } catch {
    return null;
  }
}

/** The value of a sysctl, or null when there is none. */
export function readSysctl(name: string): string | null {
  return readText(path.join("/proc/sys", name.replaceAll(".", "/")));
}

function sysctlFinding(
  state: "warning" | "problem",
  name: string,
  found: string,
  value: string,
): Finding {
  return { subject: name, state, found, fix: `sudo sysctl -w ${name}=${value}` };
}
