/**
 * node-tuntap2: system calls for user-space networking.
 *
 * Conventions, for every function unless it says otherwise:
 * - It is synchronous and returns a value >= 0 or a **negative errno** (`-11` is `-EAGAIN`).
 * - It throws `TypeError` only for an argument of the wrong type, which is a programming error.
 *   A number that no `ptr`, `len` or `fd` can be (negative, fractional, too large) is no type
 *   error: it fails the range check that follows, with `-EFAULT` or `-EBADF`.
 * - `fd` must be a handle: a descriptor that this addon issued, in this thread, and that has not
 *   been closed since. Anything else is `-EBADF`, so that a stray number never reaches Node's own
 *   descriptors.
 * - `(mem, ptr, len)` is a range of registered memory: `mem` from {@link registerMemory}, `ptr`
 *   and `len` in bytes. A range that leaves the memory is `-EFAULT`; nothing is done then.
 * - Descriptors are close-on-exec; sockets and TAPs are non-blocking.
 * - Multi-byte values in registered memory have the machine's byte order, except where the kernel
 *   itself wants network byte order (ports and addresses in a sockaddr).
 *
 * The addon never looks at a packet.
 */
declare namespace tuntap2 {
  // ---------------------------------------------------------------- memory

  /**
   * Registers a buffer for the calls that take `(mem, ptr, len)` and keeps a reference to it. The
   * buffer must not be detached while it is registered: register the buffer of a WebAssembly
   * memory whose maximum is its initial size (it never moves), or a plain `ArrayBuffer` that is
   * not transferred.
   *
   * @returns the memory's number, 0..1023, or `-ENOSPC` when 1024 memories are registered.
   */
  function registerMemory(buffer: ArrayBuffer): number;

  /** Forgets a memory and drops the reference. @returns 0, or `-EFAULT` when there is none. */
  function unregisterMemory(mem: number): number;

  /**
   * Gives the process's own freed memory (that of `malloc`) back to the kernel; takes under 1 ms.
   *
   * @returns 1 when something was given back, otherwise 0.
   */
  function trimMemory(): number;

  // ---------------------------------------------------------------- errors of several steps

  /** The step at which an agent or {@link spawnHeld} failed. */
  type Step =
    | "none"
    /** No descriptors or processes left (EMFILE, EAGAIN, ENOMEM). */
    | "socketpair"
    | "fork"
    /** The agent process is gone (killed from outside). */
    | "agent"
    /** Opening the network namespace: ENOENT no such PID or path, EACCES another user's process. */
    | "open-netns"
    /** ENOTTY: the path is not a namespace. EINVAL: a namespace, but not a network namespace. */
    | "check-netns"
    | "open-userns"
    /** ENOTTY: the path is not a namespace. EINVAL: a namespace, but not a user namespace. */
    | "check-userns"
    /** Asking for the owner of the network namespace: EPERM, it is not below our own. */
    | "get-userns"
    /** EPERM: the user namespace belongs to another user. */
    | "setns-user"
    /** EPERM: no CAP_SYS_ADMIN over the network namespace. */
    | "setns-net"
    /** Opening /dev/net/tun: ENOENT, ENODEV, ENXIO missing; EACCES, EPERM not permitted. */
    | "open-tun"
    /**
     * Creating or attaching the TAP: EBUSY in use; EINVAL not a TAP (`lo`), or a name the kernel
     * does not accept; ENAMETOOLONG above 15 bytes; EPERM another user's persistent TAP.
     */
    | "tunsetiff"
    | "vnet-header"
    | "offload"
    | "ifindex"
    | "netlink"
    | "socket"
    /** EPERM, EACCES: user namespaces are forbidden. ENOSPC, EUSERS: their number is used up. */
    | "unshare"
    /** As `unshare`: where AppArmor restricts user namespaces the maps are what fails, with EPERM. */
    | "setgroups"
    | "uid-map"
    | "gid-map"
    /** By newuidmap(1): ENOENT, it is missing; EPERM, it refused the ids. */
    | "newuidmap"
    | "newgidmap"
    /** Making the mounts private. */
    | "mount"
    /** Covering /etc/resolv.conf: ENOENT, there is none. */
    | "resolv-conf"
    /** Covering what is `hidden`. */
    | "hide"
    /** Entering the `directory` of a child. */
    | "directory"
    | "pidfd-open"
    /** The broker is gone (killed from outside), or did not understand. */
    | "broker"
    /** The broker could not confine itself. */
    | "keeper"
    /** Changing the root: EINVAL where the root is no mount point, as in an initramfs. */
    | "empty-root"
    /** Dropping capabilities of all threads, and Landlock. */
    | "threads"
    /** EINVAL: a kernel without seccomp filters. */
    | "seccomp";

  /** The last failure of an agent call or {@link spawnHeld} in this thread. */
  interface LastError {
    readonly step: Step;
    /** What the step was about: a path, a TAP's name, or the empty string. */
    readonly path: string;
  }

  function lastError(): LastError;

  // ---------------------------------------------------------------- namespaces

  /**
   * Starts an agent: a forked process that has entered the namespaces and serves the `agent*`
   * calls from there, over a socket pair. It holds none of this process's descriptors and dies
   * with the thread that made it.
   *
   * @param userns path of a user namespace, or `null` for the owner of `netns`. A user namespace
   *   that is already ours is not entered.
   * @param netns path of a network namespace: `/proc/PID/ns/net`, or wherever it is mounted.
   * @returns an agent's number (not an `fd`), or a negative errno with {@link lastError};
   *   `-ENFILE` when 512 agents are open.
   */
  function openAgent(userns: string | null, netns: string): number;

  /**
   * Makes the socket of an agent that another process has started one of ours. A request that it does not answer within
   * 1 s is its last.
   *
   * @param fd becomes the agent's, also if it is no agent's: then each request fails.
   * @returns as {@link openAgent}
   */
  function adoptAgent(fd: number): number;

  /**
   * Opens a TAP in the agent's network namespace: creates it, or attaches to a persistent one. With
   * `vnetHeader` each frame is preceded by a 10-byte `virtio_net_hdr`, and checksum, TSO and (on
   * kernels that know it, 6.2) USO are offloaded to us; without it none is. An agent opens one TAP.
   *
   * @param name 1..15 bytes.
   * @returns an `fd`, non-blocking; reads and writes are whole frames. `-EMFILE` when the agent has opened
   *   one before.
   */
  function agentOpenTap(agent: number, name: string, vnetHeader: boolean): number;

  /** @returns the index of the interface `name` in the agent's namespace, or `-ENODEV`. */
  function agentIfindex(agent: number, name: string): number;

  /**
   * Sends one rtnetlink message from inside the namespace and waits for its acknowledgement.
   *
   * @param request an `nlmsghdr` with `NLM_F_REQUEST | NLM_F_ACK` and its payload, at most 4096 bytes,
   *   `nlmsg_len` the length of the array: RTM_NEWLINK with address, MTU or length of the queue,
   *   RTM_NEWADDR and RTM_DELADDR with address, local one and (NEW) broadcast, or RTM_NEWROUTE and RTM_DELROUTE with
   *   destination, link, gateway and priority; those of addresses and routes that are NEW also with `NLM_F_CREATE`,
   *   `NLM_F_REPLACE` and `NLM_F_EXCL`.
   * @returns 0 or the acknowledged `-errno`; `-EINVAL` for a message that is not as above.
   */
  function agentNetlink(agent: number, request: Uint8Array): number;

  /**
   * Makes a socket inside the namespace, as {@link socket}: stream or datagram of IPv4 or IPv6 with
   * protocol 0, or NETLINK_SOCK_DIAG (raw). @returns an `fd`; `-EACCES` for others.
   */
  function agentSocket(agent: number, domain: number, type: number, protocol: number): number;

  /**
   * Makes a stream or datagram socket inside the namespace and binds it there, with `SO_REUSEADDR` and
   * `IPV6_V6ONLY`; ports below 1024 are permitted. @param address a struct sockaddr_in or sockaddr_in6
   * @returns an `fd`, or a negative errno.
   */
  function agentBoundSocket(
    agent: number,
    domain: number,
    type: number,
    address: Uint8Array,
  ): number;

  /**
   * Ends the agent and reaps it. What it opened stays open. @returns 0, `-EBADF` when there is no
   * such agent, or `-EIO` when it had not ended by itself (killed, crashed).
   */
  function closeAgent(agent: number): number;

  // ---------------------------------------------------------------- children

  interface SpawnOptions {
    /** Program; searched in the PATH of `env` when it has no slash. */
    readonly file: string;
    readonly argv: readonly string[];
    /** `NAME=value`. */
    readonly env: readonly string[];
    /** This process's effective user and group id. */
    readonly uid: number;
    readonly gid: number;
    /** What they appear as inside (0 to be root there). */
    readonly insideUid: number;
    readonly insideGid: number;
    /** Text placed over /etc/resolv.conf, at most 64 KiB, or `null` to leave it. */
    readonly resolvConf: string | null;
    /** Likewise over /etc/hosts and /etc/hostname, where the machine has them; or nothing. */
    readonly hosts?: string | null;
    readonly hostnameFile?: string | null;
    /** Its hostname, at most 64 bytes; or nothing: as the host's is now. */
    readonly hostname?: string | null;
    /** Whether it has a PID namespace, with its own /proc, where that can be mounted; or nothing: no. */
    readonly ownPids?: boolean;
    /**
     * A process whose namespaces it enters instead of new ones, and which of them: CLONE_NEW* of setns(2). Its
     * ids are those that it has there, and its files are as they are.
     */
    readonly joined?: number;
    readonly joinedNamespaces?: number;
    /** Or the file of a network namespace that it enters, after the user namespace that owns it. */
    readonly joinedNetns?: string;
    /**
     * Command lines of newuidmap(1) and newgidmap(1), found in PATH, whose first argument is replaced by the PID: they map
     * further ids, in a user namespace around the child's own. `uidMap` and `gidMap` are the lines of the child's own
     * maps then (user_namespaces(7)), at most 1023 bytes.
     */
    readonly newuidmap?: readonly string[];
    readonly newgidmap?: readonly string[];
    readonly uidMap?: string;
    readonly gidMap?: string;
    /**
     * Paths that it does not see: directories are empty and read-only, files refuse connections. Those that
     * are not there when it is started do not count.
     */
    readonly hidden: readonly string[];
    /** The directory in which the child begins; or nothing: that of the process that forks it. */
    readonly directory?: string | null;
    /** Descriptors above 2 that the child keeps over `exec`; those that are not open do not count. */
    readonly keep: readonly number[];
    /** Signals that the child ignores, as `nohup` has it. */
    readonly ignore: readonly number[];
  }

  interface HeldChild {
    readonly pid: number;
    /** `fd` for {@link waitChild}, {@link pidfdSignal}, {@link watch} (EPOLLIN when it ended). */
    readonly pidfd: number;
    /** `fd` for {@link releaseSpawned}; closing it instead ends the child. */
    readonly control: number;
    /**
     * `fd` of a pidfd: our child as well, which ends all processes that the child leaves behind, and then itself, when it
     * gets `reaperSignal`, or when we have ended. It is the first process of the child's PID namespace or, without one, a
     * process beside it. Absent: the child joined other namespaces.
     */
    readonly reaper?: number;
    /** SIGKILL or SIGTERM. */
    readonly reaperSignal: number;
    /** Why it has no PID namespace though it was to have one, an errno: `-EPERM` where /proc is masked; or 0. */
    readonly reaperError: number;
  }

  /**
   * Forks a child into new user, network, mount, UTS and IPC namespaces, and a PID namespace if wanted, with
   * its ids mapped and its resolv.conf covered, and holds it before `exec`. The child keeps stdin, stdout, stderr and
   * `keep` (Node makes every descriptor that it inherits close-on-exec), the terminal, session,
   * process group and working directory; its signal mask is empty and its signals, but for
   * `ignore`, are at their defaults; it is killed when the thread that made it ends.
   *
   * @returns the child, or a negative errno with {@link lastError} (nothing is left behind then).
   */
  function spawnHeld(options: SpawnOptions): HeldChild | number;

  /**
   * Lets a held child `exec`, waits until it has, and closes `control`.
   *
   * @returns 0 or the `-errno` of `exec` (`-ENOENT` not found, `-EACCES` not executable); the child
   *   then ends with 127 and is still to be reaped by {@link waitChild}.
   */
  function releaseSpawned(control: number): number;

  /**
   * Executes a command in place of this process, in the namespaces that it is in: of the options `file`, `argv`, `env`,
   * `keep` and `ignore` count.
   *
   * @returns the `-errno` of `exec`, with all signals at their defaults.
   */
  function replaceProcess(options: SpawnOptions): number;

  /**
   * Reaps without waiting.
   *
   * @returns `-EAGAIN` while nothing has changed; 0..255 it exited; 256 + signal it was
   *   killed; 512 + signal it was stopped (and may go on: ask again); `-ECHILD` no child of ours,
   *   or reaped before.
   */
  function waitChild(pidfd: number): number;

  /**
   * @param pid as the broker sees it, where there is one.
   * @returns an `fd` for any process: EPOLLIN when it ended; or `-ESRCH`.
   */
  function pidfdOpen(pid: number): number;

  function pidfdSignal(pidfd: number, signal: number): number;

  /** Opens the controlling terminal. @returns an `fd`, or `-ENXIO` where there is none. */
  function openTerminal(): number;

  /**
   * Makes our process group the terminal's foreground group if that has no process left: a shell in
   * another PID namespace cannot do so when it ends.
   *
   * @param group our process group.
   */
  function reclaimTerminal(terminal: number, group: number): number;

  // ---------------------------------------------------------------- sandbox

  /**
   * Uses a broker for what needs the user's rights over other namespaces: from now on it starts
   * agents and held children, which are children of this process all the same. The launcher forked
   * it (src/broker/protocol.h).
   *
   * @param fd its socket, inherited; becomes the addon's.
   * @returns 0; `-EBADF` not open; `-EEXIST` there is one.
   */
  function useBroker(fd: number): number;

  /** Opens a directory by O_PATH, as the broker finds it, where there is one. @returns an `fd`, or an errno */
  function openDirectory(path: string): number;

  /**
   * Has the broker make a pid file, or open it with what it has, readable by its owner only.
   *
   * @returns an `fd` for {@link writeBytes}; or an errno: `-ELOOP` a link, `-EPERM` another user's, no file, or where others
   *   could replace it; `-EBADF` there is no broker.
   */
  function openPidFile(path: string): number;

  /** Whether two paths, such as /proc/PID/ns/uts, are one namespace. @returns 0, 1, or an errno */
  function sameNamespace(one: string, other: string): number;

  /**
   * Turns the broker into the keeper: confined for good, it holds nothing that was open, sends the
   * text of one file, and removes another when this process is gone.
   *
   * @param resolvConf path of the file to send.
   * @param apiSocket path of the file to remove, unless it is another by then; or `null`.
   * @returns 0 or an errno of the request; {@link confirmKeeper} returns its result.
   */
  function becomeKeeper(resolvConf: string, apiSocket: string | null): number;

  /** Waits for what {@link becomeKeeper} began. @returns 0, or an errno with {@link lastError} */
  function confirmKeeper(): number;

  /**
   * Asks the keeper for the text of the file. Waits 20 ms at most.
   *
   * @param text receives it, cut to 64 KiB.
   * @returns its length; `-EAGAIN` when it has not changed; `-EPIPE` when the keeper is gone.
   */
  function keeperText(text: Uint8Array): number;

  /** Ends broker or keeper and waits until it has removed its file, 1 s at most. */
  function endBroker(): number;

  /**
   * Gives all threads another user and group, and no further groups. What the lock-down needs stays until then.
   *
   * @returns 0, or an errno: `-EPERM` we are not root, or `-EINVAL` ids that our user namespace does not have.
   */
  function becomeUser(uid: number, gid: number): number;

  /**
   * Locks this process down, all threads of it and for good: no_new_privs, no capabilities, Landlock
   * where the kernel has it, a seccomp filter with the calls of `#syscalls` lines (syscalls.sh), and
   * stdin /dev/null.
   *
   * @param emptyRoot whether the root becomes an empty, read-only file system; the process needs
   *   mounts of its own and CAP_SYS_ADMIN over them.
   * @param keepsPorts whether CAP_NET_BIND_SERVICE stays, if we have it.
   * @param hasChild whether a held child is to be waited for and signalled.
   * @returns 0, or a negative errno with {@link lastError}; after "empty-root" it may be called again
   *   without.
   */
  function lockDown(emptyRoot: boolean, keepsPorts: boolean, hasChild: boolean): number;

  /**
   * As {@link lockDown}, for a process that still needs files: it keeps its root. With Landlock it may
   * read the files, and below the directories, of `readable`, and have plain files below those of
   * `writable`; without Landlock all of its user's. It starts no child.
   */
  function lockDownDaemon(readable: readonly string[], writable: readonly string[]): number;

  // ---------------------------------------------------------------- inherited descriptors

  /** Makes stdout and stderr what stdin is: in the sandbox /dev/null. */
  function releaseOutput(): number;

  /** Whether `n` is an open descriptor of this process, issued or not. */
  function isOpenFd(n: number): boolean;

  /**
   * Makes an inherited descriptor a handle and sets close-on-exec. Its blocking mode is shared with
   * other processes and left alone: {@link read}, {@link writev}, {@link readBytes} and
   * {@link writeBytes} may block on it.
   *
   * @returns `n`; `-EBADF` not open; `-EEXIST` a handle already.
   */
  function adoptFd(n: number): number;

  /**
   * Duplicates the open descriptor `n`, issued or not, into a handle, close-on-exec. `n` stays as it
   * is; both share one blocking mode.
   *
   * @returns an fd; `-EBADF` not open.
   */
  function copyFd(n: number): number;

  /**
   * Configures a TAP that somebody else opened, an `fd` by {@link adoptFd}, as {@link agentOpenTap}
   * does its own: header length, offloads, non-blocking (for all who share it). Whether frames have
   * a virtio header was decided when it was opened.
   *
   * @returns 1 when they have, 0 when not; `-ENOTTY` not a TAP, `-EINVAL` a TUN, or one with
   *   packet information in front of frames (no `IFF_NO_PI`).
   */
  function setUpTap(fd: number): number;

  /**
   * Makes `fd` refer to what `by` refers to, and closes `by`; the watch of `fd` ends (dup3(2)).
   *
   * @returns `fd`, or a negative errno, after which `by` is still open.
   */
  function replaceFd(fd: number, by: number): number;

  // ---------------------------------------------------------------- event loop

  /**
   * Hosts an epoll set under Node's event loop: one call of `onWake` per wake-up, nothing while
   * idle. Timers, promises, immediates and signals of Node work as always. The running loop
   * keeps the process alive.
   *
   * `onWake` runs outside of any Node callback, whose bookkeeping would cost 0.4 µs a call: promise
   * jobs and `process.nextTick` that it starts wait for Node's next callback, so start what needs
   * them by `setImmediate`. An exception that it throws is an uncaught one.
   *
   * @param onWake gets how many pairs were written to `events`, 0 when only its time has come. The
   *   first call comes as soon as Node's loop turns, to ask for that time. It returns the
   *   milliseconds after which it wants to be called without an event: 0 at once (Node and the
   *   other descriptors have their turn in between), -1 never; rounded up. `now` is the clock that
   *   this is measured by: libuv's, monotonic, in whole milliseconds, read once for each wake-up.
   * @param events receives pairs (token, epoll bits), at most `length / 2` a call (and at most
   *   1024), valid during the call. Fetched once: it must not be detached.
   * @throws Error when the loop runs already.
   */
  function loopStart(onWake: (count: number, now: number) => number, events: Int32Array): void;

  /**
   * Sets for how long to poll before blocking, which doubles the rate of requests and responses
   * where an idle processor is slow to wake. Polling pauses while no events come in that time.
   *
   * @param microseconds 0, the initial value, for none; at most 1000.
   * @returns 0, or `-EINVAL`: out of range, or no loop runs.
   */
  function loopSpin(microseconds: number): number;

  /**
   * Limits how long `onWake`, or anything else that the thread does between two waits, may take: an
   * endless loop, also one in WebAssembly, ends the process with status 1 at the limit, or at twice
   * that at the latest. The thread's processor time counts. Call it before a seccomp filter is
   * loaded, which allows no new timers.
   *
   * @param seconds whole, 1 to 3600.
   * @param lastWords written to stderr then, at most 255 bytes, unless that would block.
   * @returns 0; `-EINVAL`: out of range, or no loop runs; or the errno of the timer.
   */
  function loopLimit(seconds: number, lastWords: Uint8Array): number;

  /** Stops calling `onWake`; may be called from within it. Watches stay. */
  function loopStop(): void;

  /**
   * `EPOLL_CTL_ADD`. May be called before {@link loopStart}.
   *
   * @param events bits of epoll_event.events (signed or unsigned), EPOLLET included.
   * @param token u32 handed back with each event.
   */
  function watch(fd: number, events: number, token: number): number;

  /** `EPOLL_CTL_MOD`. @returns 0, or `-ENOENT` when it is not watched. */
  function rewatch(fd: number, events: number, token: number): number;

  /** `EPOLL_CTL_DEL`. {@link close} does it too. */
  function unwatch(fd: number): number;

  // ---------------------------------------------------------------- syscalls

  /** `SOCK_NONBLOCK | SOCK_CLOEXEC` are added to `type`. @returns an `fd`. */
  function socket(domain: number, type: number, protocol: number): number;

  /**
   * Two stream sockets (AF_UNIX) that are connected to each other. Each is an `fd`; they are written
   * to the range, of 8 bytes or more, as two u32.
   *
   * @returns 0 or an errno.
   */
  function socketPair(mem: number, ptr: number, len: number): number;

  /** The range holds a sockaddr. @returns 0, `-EINPROGRESS`, or another errno. */
  function connect(fd: number, mem: number, ptr: number, len: number): number;

  /** The range holds a sockaddr. */
  function bind(fd: number, mem: number, ptr: number, len: number): number;

  function listen(fd: number, backlog: number): number;

  /** @returns an `fd`, non-blocking; the client's sockaddr is written, cut to `capacity`. */
  function accept(fd: number, mem: number, ptr: number, capacity: number): number;

  /** @returns the length of the sockaddr, which is written, cut to `capacity`. */
  function getsockname(fd: number, mem: number, ptr: number, capacity: number): number;

  /** As {@link getsockname}. */
  function getpeername(fd: number, mem: number, ptr: number, capacity: number): number;

  /** For options whose value is an `int`. */
  function setsockopt(fd: number, level: number, name: number, value: number): number;

  /** `SO_BINDTODEVICE`. @param name without a NUL. @returns 0 or a negative errno: ENODEV, EPERM before Linux 5.7 */
  function bindToDevice(fd: number, name: Uint8Array): number;

  /** @returns the option's `int` value; for `SO_ERROR` that is the pending errno, positive. */
  function getsockopt(fd: number, level: number, name: number): number;

  /** For options whose value is a struct. @returns its length; it is written, cut to fit. */
  function getsockoptBytes(fd: number, level: number, name: number, value: Uint8Array): number;

  /** @returns bytes read, 0 at the end of a stream. */
  function read(fd: number, mem: number, ptr: number, len: number): number;

  /** `write` of one range: a frame to a TAP. @returns bytes written. */
  function write(fd: number, mem: number, ptr: number, len: number): number;

  /** `MSG_DONTWAIT` is added. @returns bytes received, 0 at the end of a stream. */
  function recv(fd: number, mem: number, ptr: number, len: number, flags: number): number;

  /**
   * @param iovPtr where `iovCount` pairs of u32 (ptr, len) are in the same memory.
   * @param iovCount 0..1024, else `-EINVAL`.
   * @returns bytes written.
   */
  function writev(fd: number, mem: number, iovPtr: number, iovCount: number): number;

  /** As {@link writev}; `MSG_NOSIGNAL | MSG_DONTWAIT` are added; no name, no control data. */
  function sendmsg(
    fd: number,
    mem: number,
    iovPtr: number,
    iovCount: number,
    flags: number,
  ): number;

  /**
   * Sends messages, of which each is 8 u32 at `msgs`: namePtr, nameLen, iovPtr, iovCount,
   * controlPtr, controlLen, msg_flags (unused), length (out: bytes sent). Name is a sockaddr,
   * control raw cmsg bytes; nameLen or controlLen 0 means none. `MSG_NOSIGNAL | MSG_DONTWAIT`
   * are added.
   *
   * @param count 0..256, else `-EINVAL`. Messages whose iovs exceed 4096 together are left for the
   *   next call.
   * @returns messages sent; an errno only when the first of them fails.
   */
  function sendmmsg(fd: number, mem: number, msgs: number, count: number, flags: number): number;

  /**
   * Receives messages, laid out as for {@link sendmmsg}: nameLen and controlLen are capacities
   * and are written back as lengths, with msg_flags and length. `MSG_DONTWAIT |
   * MSG_CMSG_CLOEXEC` are added.
   *
   * @returns messages received.
   */
  function recvmmsg(fd: number, mem: number, msgs: number, count: number, flags: number): number;

  /** The ends of a pipe, both `fd`. */
  interface Pipe {
    readonly readEnd: number;
    readonly writeEnd: number;
  }

  /**
   * Makes a pipe, non-blocking.
   *
   * @param capacity in bytes, rounded up to pages and a power of two; the kernel's 64 KiB where the
   *   user's pipes may not hold so much.
   * @returns the pipe, or a negative errno.
   */
  function pipe(capacity: number): Pipe | number;

  /**
   * Moves bytes from one `fd` to another, of which one is an end of a pipe, without a copy where the
   * kernel can; does not wait.
   *
   * @returns bytes moved; 0 at the end of what `from` is; `-EAGAIN` while `from` has nothing or `to`
   *   has no room.
   */
  function splice(from: number, to: number, length: number): number;

  // ---------------------------------------------------------------- sealing and opening

  /**
   * Takes a key of ChaCha20-Poly1305 (RFC 8439), of 32 bytes. `key` may be overwritten afterwards.
   *
   * @returns the key's number, 0..8191, for {@link aeadSeal} and {@link aeadOpen} of this thread; `-ENOSPC` when
   *   8192 keys are there, `-EINVAL` for another length, `-EOPNOTSUPP` where Node has no such cipher.
   */
  function aeadKey(key: Uint8Array): number;

  /** Wipes a key; the end of the thread wipes all. @returns 0, or `-ENOENT` when there is none. */
  function aeadForget(key: number): number;

  /**
   * Seals messages, of which each is 8 u32 at `table`: key, counter (low word), counter (high word), piecePtr, pieceCount,
   * padding, outputPtr, result. At piecePtr are pairs of u32 (ptr, len), as {@link writev} has them; the message is
   * these pieces one after the other and `padding` zeros, 0..15. The nonce is 4 zero bytes and the counter,
   * little-endian; there is no associated data. The sealed message and its tag of 16 bytes are written to outputPtr. A
   * single piece may lie there already; otherwise what overlaps the output is sealed as other bytes.
   *
   * result (out): length of what was written, or `-EIO` (then it is zeros).
   *
   * @param count 0..256, else `-EINVAL`. Messages whose pieces exceed 4096 together are left for the next call.
   * @returns messages with a result. Nothing is sealed if one of them is wrong: `-ENOENT` no such key, `-EINVAL` more
   *   padding, or more than 1024 pieces, `-EMSGSIZE` longer than 65,535 bytes with its tag, `-EFAULT`.
   */
  function aeadSeal(mem: number, table: number, count: number): number;

  /**
   * Opens messages, laid out as for {@link aeadSeal}, with the sealed message and its tag as one range: key,
   * counter (low word), counter (high word), ptr, len, unused, outputPtr, result. outputPtr is ptr, or `len` bytes there do not
   * overlap the message, else `-EINVAL`.
   *
   * result (out): length of the opened message, 16 less than `len`; `-EBADMSG` when it is not authentic (then zeros
   * are written) or shorter than a tag.
   *
   * @returns messages with a result, all of them; or as for {@link aeadSeal}, and nothing is opened.
   */
  function aeadOpen(mem: number, table: number, count: number): number;

  /**
   * Keyed BLAKE2s (RFC 7693 §2.9).
   *
   * @param key 1..32 bytes, else `-EINVAL`
   * @param mac 16 bytes, else `-EINVAL`, which are written
   * @returns 16, or `-EOPNOTSUPP` where Node lacks it
   */
  function blake2sMac(key: Uint8Array, bytes: Uint8Array, mac: Uint8Array): number;

  /** @param how 0 SHUT_RD, 1 SHUT_WR, 2 SHUT_RDWR. */
  function shutdown(fd: number, how: number): number;

  /** Ends the watch, too. The handle is gone whatever is returned. */
  function close(fd: number): number;

  /** `write`, for the cold path. @returns bytes written, which may be fewer. */
  function writeBytes(fd: number, bytes: Uint8Array): number;

  /** `read`, for the cold path. @returns bytes read, 0 at the end of a stream. */
  function readBytes(fd: number, bytes: Uint8Array): number;

  // ---------------------------------------------------------------- descriptors between processes

  /**
   * `sendmsg` over a UNIX socket, for the cold path; `MSG_NOSIGNAL | MSG_DONTWAIT` are added.
   *
   * @param passed an `fd` that goes along (SCM_RIGHTS) with the first byte, or `null`.
   * @returns bytes sent, which may be fewer.
   */
  function sendPassing(fd: number, bytes: Uint8Array, passed: number | null): number;

  /**
   * `recvmsg` from a UNIX socket; `MSG_DONTWAIT | MSG_CMSG_CLOEXEC` are added.
   *
   * @returns how many bytes came (0 at the end of a stream) and the descriptor that came along, an
   *   `fd`, non-blocking, or -1; or a negative errno: `-EMSGSIZE` for a message that is longer. Of several
   *   descriptors none is kept.
   */
  function receivePassed(
    fd: number,
    bytes: Uint8Array,
  ): { readonly length: number; readonly passed: number } | number;

  /** @returns the user id of who connected, or listens at, the other end of a UNIX socket. */
  function peerUid(fd: number): number;

  /**
   * The network namespace in which a socket was made, as a number that no other has until the machine is
   * booted again. Of an accepted UNIX socket it is that of its client's.
   *
   * @returns or `-ENOPROTOOPT` before Linux 5.14.
   */
  function networkCookie(fd: number): bigint | number;

  /**
   * The process that connected at the other end of a UNIX socket, as it was then: who has got the socket
   * since does not count.
   *
   * @returns an `fd` as that of {@link pidfdOpen}, or a negative errno: `-ESRCH` when it has ended.
   */
  function peerPidfd(fd: number): number;

  /**
   * Opens a file, made with mode 0600 if it does not exist, and locks it (flock(2)) for as long as it
   * is open. Links are not followed.
   *
   * @returns an `fd`, or `-EAGAIN` while another process has the lock.
   */
  function lockFile(path: string): number;

  /**
   * Fills `bytes`, at most 256 of them, from the kernel's generator: `node:crypto` would take 3 ms
   * of a program's start to load. @returns bytes written.
   */
  function getRandom(bytes: Uint8Array): number;
}

export = tuntap2;
