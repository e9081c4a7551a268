import type { HeldNamespace } from "../lab/namespace.ts";
import type { Outcome } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, expect } from "./fixture.ts";

// Where the output of a command cannot be written, or nobody reads it.

/** A user with a network, and a guest of its own. */
interface Place {
  readonly user: DaemonUser;
  readonly namespace: HeldNamespace;
}

const test = base
  .extend("place", { scope: "file" }, async ({ lab }, { onCleanup }): Promise<Place> => {
    const user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    const namespace = await lab.host.namespace();
    const attached = lab.host.slipway(["attach", `${namespace.pid}`], { env: user.env });
    await attached.printed(/tap0/);
    onCleanup(async () => {
      await namespace.release();
      await attached.ended(10_000);
      await user[Symbol.asyncDispose]();
    });
    return { user, namespace };
  })
  .runIf(isSlipway);

/** Runs a line of bash, in which $bin is the folder of the commands. */
function bash({ user }: Place, line: string): Promise<Outcome> {
  const { lab, env } = user;
  const bin = lab.host.slipwayPath.replace(/\/slipway$/, "");
  return lab.host.user.run(["bash", "-c", `PATH=${bin}:$PATH; ${line}`], { env });
}

const commands = [
  // Node's own, the launcher's with the daemon, Node's with the daemon, and of single guests.
  ...["slipway --version", "slipway --help", "slirp4netns --help", "slipway doctor"],
  ...["slipway network ls", "slipway ps --json", "slipway network inspect web"],
  ...["slipway network create full", "slipway network rm full", "slipway daemon status"],
  ...["slipway status", "slipway flows", "slipway port ls"],
  "slipway port add 80",
  `slipway-cni <<< '{"cniVersion":"1.0.0","name":"n","type":"slipway-cni"}'`,
] as const;

/** Makes descriptor 4 a pipe that nobody reads. */
function brokenPipe({ user }: Place): string {
  const pipe = `${user.directory}/pipe`;
  return `mkfifo ${pipe}; exec 3<>${pipe} 4>${pipe} 3<&-; rm ${pipe};`;
}

const environment = "export CNI_COMMAND=VERSION;";

test("a full disk is a failure with one line", async ({ place }) => {
  for (const command of commands) {
    const { code, stderr } = await bash(place, `${environment} ${command} > /dev/full`);
    const [program] = command.split(" ");
    const said = `${program}: cannot write the output: No space left on device\n`;
    expect([command, code, stderr]).toEqual([command, 1, said]);
  }
});

test("so is a stdout that is closed, and a reader that has gone where SIGPIPE is ignored", async ({
  place,
}) => {
  for (const command of ["slipway network ls", "slipway --help", "slipway status"]) {
    const closed = await bash(place, `${command} >&-`);
    expect([command, closed.code, closed.stderr]).toEqual([
      ...[command, 1, "slipway: cannot write the output: Bad file descriptor\n"],
    ]);
    const ignored = await bash(place, `trap '' PIPE; ${brokenPipe(place)} ${command} >&4`);
    expect([command, ignored.code, ignored.stderr]).toEqual([
      ...[command, 1, "slipway: cannot write the output: Broken pipe\n"],
    ]);
  }
});

test("a reader that has gone ends a command by SIGPIPE, as other programs", async ({ place }) => {
  for (const command of ["true", "slipway network ls", "slipway --help", "slipway doctor"]) {
    const { stdout, stderr } = await bash(place, `${brokenPipe(place)} ${command} >&4; echo $?`);
    expect([command, stdout, stderr]).toEqual([command, command === "true" ? "0\n" : "141\n", ""]);
  }
});

test("a slow reader of a pipe that does not block gets everything", async ({ place }) => {
  const { user } = place;
  const label = "x".repeat(1_000);
  const labels = Array.from({ length: 50 }, (_, index) => ["--label", `l${index}=${label}`]);
  const networks = ["a", "b", "c", "d"];
  for (const network of networks) await user.ok("network", "create", network, ...labels.flat());
  // Sets O_NONBLOCK and becomes the command.
  const unblocked = `
    use Fcntl; fcntl(STDOUT, F_SETFL, fcntl(STDOUT, F_GETFL, 0) | O_NONBLOCK) or die;
    exec @ARGV or die;`;
  // Reads when the pipe of 64 KiB has no room for a page: FIONREAD of ioctl_pipe(2).
  const reader = `
    do { $n = pack("i", 0); ioctl(STDIN, 0x541b, $n) or die; } until unpack("i", $n) > 61440;
    print while <STDIN>;`;
  // An answer of the launcher's, and one that is too long for it.
  for (const names of ["a b", networks.join(" ")]) {
    const command = `slipway network inspect ${names}`;
    const line = `set -o pipefail; perl -e '${unblocked}' ${command} | perl -e '${reader}'`;
    const { code, stdout, stderr } = await bash(place, line);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(await user.ok("network", "inspect", ...names.split(" ")));
  }
});
