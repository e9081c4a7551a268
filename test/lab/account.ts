import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { userId } from "./host.ts";
import type { Lab } from "./lab.ts";
import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";

/** What an account on a lab's host needs from the machine, or why there cannot be one. */
export function accountsPossible(): { readonly possible: boolean; readonly why: string } {
  if (getuid?.() === 0) return { possible: true, why: "" };
  const { username, uid } = userInfo();
  const possible = ["/etc/subuid", "/etc/subgid"].every((file) =>
    subordinateIds(file, [username, `${uid}`]),
  );
  return { possible, why: `${username} has no subordinate ids in /etc/subuid and /etc/subgid` };
}

/** Whether one of the names has a range with as many ids as accounts need. */
function subordinateIds(file: string, names: readonly string[]): boolean {
  return lines(file).some((line) => {
    const [name = "", , count] = line.split(":");
    return names.includes(name) && Number(count) >= 65_536;
  });
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}

/**
 * An ordinary user of a lab's host as a distribution makes one: with a name, a home, a runtime
 * directory and subordinate ids, so that container engines run. All its processes are in a PID
 * namespace: {@link processes} are only those of this account, and none outlives it.
 */
export class Account {
  /** the root of its machine */
  readonly root: Namespace;
  /** runs programs as the user */
  readonly user: Namespace;
  readonly home: string;
  readonly #lab: Lab;
  readonly #init: Process;

  private constructor(lab: Lab, init: Process, root: Namespace, user: Namespace, home: string) {
    this.#lab = lab;
    this.#init = init;
    this.root = root;
    this.user = user;
    this.home = home;
  }

  /**
   * @param name of its directories; short, because paths of UNIX sockets contain it
   * @param path of directories in which to find programs before all others
   * @param root of another distribution that is the account's machine (debian13.ts); null: this one
   */
  static async create(
    lab: Lab,
    name: string,
    path: readonly string[] = [],
    root: string | null = null,
  ): Promise<Account> {
    const base = join(lab.directory, name);
    const home = join(base, "home");
    const runtime = join(base, "run");
    const machine = lab.host.root;
    const kinds = ["--mount", "--cgroup", "--pid", "--fork", "--mount-proc"];
    const script =
      (root === null ? "" : enter(root, base, lab.directory)) + setUp(base, home, runtime);
    // catatonit reaps what engines leave to init, and -P waits for nothing.
    const init = machine.spawn([
      ...["unshare", ...kinds, "--kill-child=KILL", "--"],
      ...["sh", "-euc", `${script}\necho here; exec catatonit -P`],
    ]);
    await init.printed(/here/);
    const of = (kind: string) => `/proc/${init.pid}/ns/${kind}`;
    const entry = [`--mount=${of("mnt")}`, `--cgroup=${of("cgroup")}`];
    const ids = [`--reuid=${userId}`, `--regid=${userId}`, "--clear-groups", "--inh-caps=-all"];
    const inside = machine.forking([
      ...["nsenter", ...entry, `--pid=${of("pid_for_children")}`, "--"],
    ]);
    const user = inside.behind([
      ...["setpriv", ...ids, "--", "env", `--chdir=${home}`],
      ...[`HOME=${home}`, `XDG_RUNTIME_DIR=${runtime}`, `USER=${userName}`],
      `PATH=${[...path, "/usr/sbin:/usr/bin:/sbin:/bin"].join(":")}`,
    ]);
    return new Account(lab, init, inside, user, home);
  }

  /** Command lines of the account's processes. */
  async processes(): Promise<string[]> {
    const listing = await this.user.output(["ps", "-e", "-o", "stat=,args="]);
    return listing
      .split("\n")
      .filter((line) => !/^$|^Z|catatonit -P$|ps -e -o stat=,args=$/.test(line))
      .map((line) => line.replace(/^\S+\s+/, ""));
  }

  /** The network namespace of a process, named by its number within the account. */
  network(pid: number): Namespace {
    const target = ["--target", `${pid}`, "--user", "--net", "--preserve-credentials"];
    return this.user.behind(["nsenter", ...target, "--"]);
  }

  get lab(): Lab {
    return this.#lab;
  }

  /**
   * Ends the account with all that runs in it.
   * @param allowed what may still run then
   * @throws if something else still ran
   */
  async close(allowed = /(?!)/): Promise<void> {
    const left = await this.#leftBehind(allowed, 5_000);
    this.#init.kill("SIGKILL");
    await this.#init.exit;
    if (left.length > 0) throw new Error(`left behind in the account: ${left.join("; ")}`);
  }

  async #leftBehind(allowed: RegExp, patienceMs: number): Promise<string[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const left = (await this.processes()).filter((line) => !allowed.test(line));
      if (left.length === 0 || performance.now() > deadline) return left;
      await delay(50);
    }
  }
}

const userName = "runner";
/** As useradd(8) assigns them: 65,536 if root has many; a user's own only reach up to 65,535. */
const subordinate = {
  root: { first: 100_000, count: 65_536 },
  user: { first: 1_000, count: 59_000 },
} as const;

/** Makes `root` the root of a mount namespace. What is written goes into the lab's own directory. */
function enter(root: string, base: string, directory: string): string {
  const machine = `${base}/machine`;
  return `
    mkdir -p ${base}/upper ${base}/work ${machine}
    mount -t overlay overlay -o lowerdir=${root},upperdir=${base}/upper,workdir=${base}/work ${machine}
    cp /etc/resolv.conf /etc/nsswitch.conf ${machine}/etc/
    mkdir -p ${machine}${directory}
    mount --bind ${directory} ${machine}${directory}
    mount --rbind ${directory}/checkout ${machine}${directory}/checkout
    mount --rbind /dev ${machine}/dev
    mount --rbind /sys ${machine}/sys
    mount -t proc proc ${machine}/proc
    mount -t tmpfs -o mode=0755 tmpfs ${machine}/run
    cd ${machine}
    pivot_root . .
    umount -l .
    cd /
  `;
}

function setUp(base: string, home: string, runtime: string): string {
  const { first, count } = getuid?.() === 0 ? subordinate.root : subordinate.user;
  return `
    mkdir -p ${base}/etc ${base}/bin ${home} ${runtime}
    chown ${userId}:${userId} ${home} ${runtime}
    chmod 0700 ${runtime}
    mount --make-rshared /
    # podman keeps locks there, by uid.
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    ${addLine("passwd", `${userName}:x:${userId}:${userId}::${home}:/bin/sh`, base)}
    ${addLine("group", `${userName}:x:${userId}:`, base)}
    ${addLine("subuid", `${userName}:${first}:${count}`, base)}
    ${addLine("subgid", `${userName}:${first}:${count}`, base)}
    # crun refuses a machine with both versions of cgroups.
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    # Below a user namespace the setuid bit counts for files of that namespace's root only.
    for program in newuidmap newgidmap; do
      cp /usr/bin/$program ${base}/bin/
      chmod 4755 ${base}/bin/$program
      mount --bind ${base}/bin/$program /usr/bin/$program
    done
  `;
}

function addLine(file: string, line: string, base: string): string {
  return `
    grep -v '^${userName}:' /etc/${file} > ${base}/etc/${file} || true
    echo '${line}' >> ${base}/etc/${file}
    mount --bind ${base}/etc/${file} /etc/${file}
  `;
}
