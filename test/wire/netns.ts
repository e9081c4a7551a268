import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

/**
 * Sends each rtnetlink message that is given in hex and prints the kernel's answer: 0, or the errno
 * negated. In Perl, as every Debian and Ubuntu has it with its Socket module (perl-base).
 */
const SEND = `
  use Socket;
  my ($AF_NETLINK, $NETLINK_ROUTE, $NLMSG_ERROR) = (16, 0, 2);
  socket(my $socket, $AF_NETLINK, SOCK_RAW, $NETLINK_ROUTE) or die "socket: $!";
  connect($socket, pack("S S L L", $AF_NETLINK, 0, 0, 0)) or die "connect: $!";
  for my $message (@ARGV) {
    send($socket, pack("H*", $message), 0) or die "send: $!";
    recv($socket, my $answer, 4096, 0) // die "recv: $!";
    my (undef, $type, undef, undef, undef, $error) = unpack("L S S L L l", $answer);
    die "type $type" if $type != $NLMSG_ERROR;
    print "$error\\n";
  }
`;

/** Sends a dump request that is given in hex and prints each message that answers, in hex, up to the last. */
const DUMP = `
  use Socket;
  my ($AF_NETLINK, $NETLINK_ROUTE, $NLMSG_DONE) = (16, 0, 3);
  socket(my $socket, $AF_NETLINK, SOCK_RAW, $NETLINK_ROUTE) or die "socket: $!";
  send($socket, pack("H*", $ARGV[0]), 0) or die "send: $!";
  for (my $done = 0; !$done; ) {
    recv($socket, my $answer, 32768, 0) // die "recv: $!";
    print unpack("H*", $answer), "\n";
    for (my $at = 0; $at < length($answer); ) {
      my ($length, $type) = unpack("L S", substr($answer, $at, 6));
      $done = 1 if $type == $NLMSG_DONE;
      $at += ($length + 3) & ~3;
    }
  }
`;

/** The part of `ip -j addr`'s output for a link that the tests check. */
export interface Link {
  readonly ifindex: number;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly txqlen: number;
  readonly address: string;
  readonly addr_info: readonly object[];
}

/** A user and a network namespace of their own, for any user, held by a child process. */
export class TestNamespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(): Promise<TestNamespace> {
    const holder = spawn("unshare", ["-Urn", "sh", "-c", "echo ready; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    return new TestNamespace(holder);
  }

  /** Of a process in it, which lasts as long. */
  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  async close(): Promise<void> {
    const exit = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    await exit;
  }

  /** Runs a command inside and returns what it prints. */
  run(...command: readonly string[]): string {
    return execFileSync("nsenter", [...this.#entry(), ...command], { encoding: "utf8" });
  }

  /** What `ip -j` prints for these arguments. */
  ip(...args: readonly string[]): unknown[] {
    return JSON.parse(this.run("ip", "-j", ...args)) as unknown[];
  }

  /** Makes a TAP. @returns its index */
  addTap(name: string): number {
    this.run("ip", "tuntap", "add", "name", name, "mode", "tap");
    return this.link(name).ifindex;
  }

  /** One link with its addresses, of one family or (empty) of both. */
  link(name: string, family: "" | "-4" | "-6" = ""): Link {
    const [link] = this.ip(...(family === "" ? [] : [family]), "addr", "show", "dev", name);
    return link as Link;
  }

  /** What the kernel answers to a dump request from inside: the result of each read. */
  dump(request: Uint8Array): readonly Uint8Array[] {
    const hex = Buffer.from(request).toString("hex");
    const lines = this.run("perl", "-e", DUMP, hex).trim().split("\n");
    return lines.map((line) => Uint8Array.from(Buffer.from(line, "hex")));
  }

  /** Sends rtnetlink messages from inside; the kernel's answers, 0 or a negative errno. */
  send(...messages: readonly Uint8Array[]): number[] {
    const hex = messages.map((message) => Buffer.from(message).toString("hex"));
    const { stdout, stderr, status } = spawnSync(
      "nsenter",
      [...this.#entry(), "perl", "-e", SEND, ...hex],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`perl: ${stderr}`);
    return stdout.trim().split("\n").map(Number);
  }

  #entry(): string[] {
    return ["-t", `${this.#holder.pid}`, "-U", "-n", "--preserve-credentials"];
  }
}
