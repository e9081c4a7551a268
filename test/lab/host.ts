import { dirname, join } from "node:path";
import { failing, link, served } from "./addresses.ts";
import { Agent } from "./agent/client.ts";
import { type Impairment, makeLink } from "./link.ts";
import type { HeldNamespace, Namespace } from "./namespace.ts";
import type { Process, ProcessOptions } from "./process.ts";
import { helper, slipway } from "./product.ts";
import type { Stage } from "./stage.ts";

/** A uid and gid that nobody else has, for the user of a host that root made. */
export const userId = 61_000;

/** The machine on which Slipway runs. */
export class Host {
  /** Root of the machine: makes its network, and breaks what a test needs broken. */
  readonly root: HeldNamespace;
  /** An unprivileged user without capabilities: runs Slipway. */
  readonly user: Namespace;
  /** Holds sockets of the host, as the unprivileged user. */
  readonly agent: Agent;
  readonly stage: Stage;
  readonly #becomeUser: readonly string[];

  private constructor(
    stage: Stage,
    root: HeldNamespace,
    agent: Agent,
    becomeUser: readonly string[],
  ) {
    this.stage = stage;
    this.root = root;
    this.user = root.behind(becomeUser);
    this.agent = agent;
    this.#becomeUser = becomeUser;
  }

  static create(stage: Stage, impairment: Impairment | undefined): Promise<Host> {
    return Host.prepare(stage, userId, async (root) => {
      await makeLink(stage, root, impairment);
      await root.shell(network() + names(stage));
    });
  }

  /**
   * A machine of any other kind.
   * @param uid of its user, if root makes it
   * @param makeNetwork is called with its root
   */
  static async prepare(
    stage: Stage,
    uid: number,
    makeNetwork: (root: HeldNamespace) => Promise<void>,
  ): Promise<Host> {
    const root = await stage.namespace.unshare(["mount", "net", "uts"]);
    await makeNetwork(root);
    const becomeUser = stage.privileged ? dropPrivileges(uid) : await nestedUser(root);
    const user = root.behind(becomeUser);
    return new Host(stage, root, await Agent.start(user, stage), becomeUser);
  }

  /** The command `slipway`, at the path where processes of the lab find it. */
  get slipwayPath(): string {
    return this.stage.inside(slipway);
  }

  /** Another name of it, likewise. */
  program(name: "slirp4netns" | "pasta" | "passt" | "pesto"): string {
    return join(dirname(this.slipwayPath), name);
  }

  /** Starts `slipway`, as the user. */
  slipway(args: readonly string[], options?: ProcessOptions): Process {
    return this.user.spawn([this.slipwayPath, ...args], options);
  }

  /** Starts the helper under test by slirp4netns's command line, as the user. */
  helper(
    args: readonly string[],
    options?: ProcessOptions,
    program: readonly string[] = [this.stage.inside(helper)],
  ): Process {
    return this.user.spawn([...program, ...args], options);
  }

  /** A namespace of the user with no network yet; its resolv.conf names `dns`. */
  async namespace(dns = "10.0.2.3"): Promise<HeldNamespace> {
    const namespace = await this.user.unshare(["user", "mount", "net"], ["--map-root-user"]);
    const file = join(this.stage.directory, `resolv.conf.${namespace.pid}`);
    await namespace.shell(`
      echo 'nameserver ${dns}' > ${file}
      mount --bind ${file} "$(readlink -f /etc/resolv.conf)"
    `);
    return namespace;
  }

  /**
   * The user on a machine that root has prepared by a shell script, with its own mounts: for tests
   * of what Slipway says on machines that lack something.
   */
  userAfter(script: string): Namespace {
    return this.root
      .behind(["unshare", "--mount", "--", "sh", "-euc", `${script}\nexec "$@"`, "sh"])
      .behind(this.#becomeUser);
  }
}

function network(): string {
  return `
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
    # Below a user namespace only the groups that are mapped there can be named.
    for last in 2147483647 65535 0; do
      echo "0 $last" 2>/dev/null > /proc/sys/net/ipv4/ping_group_range && break
    done
    ip -batch - <<END
link set lo up
link set eth0 up
address add ${link.host}/${link.length} dev eth0
address add ${link.host6}/${link.length6} dev eth0
route add default via ${link.world}
route add default via ${link.world6}
route add throw ${failing.noRoute}
END
  `;
}

/** The host uses the world's resolver; no name service of the real machine answers. */
function names(stage: Stage): string {
  const directory = stage.directory;
  return `
    echo 'nameserver ${served.dns}' > ${directory}/resolv.conf
    echo 'hosts: files dns' > ${directory}/nsswitch.conf
    mount --bind ${directory}/resolv.conf "$(readlink -f /etc/resolv.conf)"
    mount --bind ${directory}/nsswitch.conf /etc/nsswitch.conf
  `;
}

/** Root gives Slipway a uid that nobody else has. no_new_privs stays off, as for a real user. */
export function dropPrivileges(uid = userId): string[] {
  const credentials = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  return ["setpriv", ...credentials, "--inh-caps=-all", "--bounding-set=-all", "--"];
}

/**
 * Inside a user namespace of one uid, "another user" is a namespace below it where that uid has a
 * number other than 0: the exec after entering it drops all capabilities.
 */
async function nestedUser(root: HeldNamespace): Promise<readonly string[]> {
  const nested = await root.unshare(["user"], ["--map-user=1000", "--map-group=1000"]);
  return nested.entry;
}
