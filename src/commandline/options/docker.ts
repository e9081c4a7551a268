import { flag, hidden, type Option, type Options } from "../parsing/option.js";
import { wrong } from "../parsing/values.js";

/** Options of docker and podman that ask `run` for what it does anyway. */
export const runAnyway = {
  interactive: hidden(flag("-i, --interactive", "stdin is inherited")),
  tty: hidden(flag("-t, --tty", "the terminal is inherited")),
  rm: hidden(flag("--rm", "nothing stays when COMMAND has ended")),
  init: hidden(flag("--init", "COMMAND's first process reaps its orphans")),
} satisfies Options;

/** Refuses values that only docker's option of that letter has. */
export function unlikeDocker<T>(option: Option<T>, meaning: RegExp, sentence: string): Option<T> {
  return {
    ...option,
    read(given) {
      const found = given.find((text) => meaning.test(text));
      if (found !== undefined) throw wrong(`-${option.short} ${found}: ${sentence}`);
      return option.read(given);
    },
  };
}

const FILES = "COMMAND sees the files of this machine, so there is nothing to mount";
const NO_IMAGE = "there is no image: write COMMAND and its arguments behind the options";
const IDS = "COMMAND is root inside, or with --keep-id you";
const RIGHTS = "COMMAND has all capabilities in its own namespaces, and none outside";
const OWN = "COMMAND has namespaces of its own; --network and --pid can be chosen";
const RESOURCES =
  "limits of processors and memory are the system's: systemd-run --user --scope -p MemoryMax=512M slipway run …";
export const MEMORY_SENTENCE = `-m is the MTU here, and ${RESOURCES}`;
export const STREAM_SENTENCE =
  "-a is the API socket here; COMMAND has stdin, stdout and stderr anyway: leave it out";
const NAMES = "members of a network find each other by name: put both on one --network";
const LINK_LOCAL = "the link-local address follows from the Ethernet address: give --mac-address";
const UNIT = "run slipway as a unit of systemd, with Restart= in it";
const OUTPUT = "COMMAND's output goes where slipway's goes";

/** Options of `docker run` and `podman run` that mean nothing to `slipway run`, and why. */
export const meaninglessForRun: Readonly<Record<string, string>> = {
  "-d": "slipway run stays until COMMAND ends: write & behind it, or systemd-run --user before it",
  "--detach":
    "slipway run stays until COMMAND ends: write & behind it, or systemd-run --user before it",
  "-v": FILES,
  "--volume": FILES,
  "--volumes-from": FILES,
  "--mount": FILES,
  "--tmpfs": FILES,
  "--device": FILES,
  "--gpus": FILES,
  "--read-only": FILES,
  "--entrypoint": NO_IMAGE,
  "--pull": NO_IMAGE,
  "--platform": NO_IMAGE,
  "-u": IDS,
  "--user": IDS,
  "--userns": IDS,
  "--group-add": IDS,
  "--privileged": RIGHTS,
  "--cap-add": RIGHTS,
  "--cap-drop": RIGHTS,
  "--security-opt": RIGHTS,
  "--ipc": OWN,
  "--uts": OWN,
  "--cgroupns": OWN,
  "--pod": "to share another's network, give --network container:NAME",
  "-c": RESOURCES,
  "--cpus": RESOURCES,
  "--cpu-shares": RESOURCES,
  "--cpuset-cpus": RESOURCES,
  "--memory-swap": RESOURCES,
  "--memory-reservation": RESOURCES,
  "--pids-limit": RESOURCES,
  "--ulimit": RESOURCES,
  "--shm-size": RESOURCES,
  "--restart": UNIT,
  "--log-driver": OUTPUT,
  "--log-opt": OUTPUT,
  "-l": "labels are for networks: slipway network create --label",
  "--label": "labels are for networks: slipway network create --label",
  "--annotation": "annotations are for containers that slipway oci-hook serves: give the options",
  "--cidfile":
    "slipway run is the process to signal: write its PID, $! of a shell, to a file of your own",
  "--replace": "end the other run first: its name is free then",
  "--sysctl":
    "COMMAND is root in its network namespace, and may set it: sh -c 'sysctl -w NAME=VALUE; exec COMMAND'",
  "--no-hosts": "COMMAND has this machine's /etc/hosts, and on a network one of its own",
  "--link": NAMES,
  "--link-local-ip": LINK_LOCAL,
  "--expose": "members reach all ports of each other; -p and -P publish ports of the host",
  "--domainname": "write the domain into the name: --hostname NAME.DOMAIN",
};

/** The same of `docker network connect`. */
export const meaninglessForConnect: Readonly<Record<string, string>> = {
  "--link": "members of a network find each other by name",
  "--link-local-ip": LINK_LOCAL,
  "--driver-opt": "an attachment has no options but those of slipway network connect --help",
  "--gw-priority": "a member goes outside by the network that it was connected to first",
};

const ADDRESSES = "the daemon assigns the addresses: give --subnet, --gateway and --ip-range";
const SWARM = "there is no swarm: networks are of this machine and user";
const FROM = "there are no configurations of networks: give the options to each";

/** The same of `docker network create` and `podman network create`. */
export const meaninglessForCreate: Readonly<Record<string, string>> = {
  "--attachable": "every network can be joined at any time: leave it out",
  "--ingress": SWARM,
  "--scope": SWARM,
  "--config-only": FROM,
  "--config-from": FROM,
  "--ipam-driver": ADDRESSES,
  "--ipam-opt": ADDRESSES,
  "--aux-address": "leave addresses free by --ip-range: members get theirs from it",
  "--disable-dns":
    "the gateway answers names of members; a command asks others by slipway run --dns",
  "--dns": "members ask the host's name servers; a command asks others by slipway run --dns",
  "--interface-name":
    "there is no bridge in the kernel; interfaces of members are named by ifname=",
  "--route": "members have one route, to the gateway",
};

/** The same of `docker ps` and `podman ps`. */
export const meaninglessForPs: Readonly<Record<string, string>> = {
  "-s": "members have the files of this machine",
  "--size": "members have the files of this machine",
  "-p": "there are no pods",
  "--pod": "there are no pods",
  "--ns": "slipway ps --json shows the namespace of each member",
};

/** The same of `docker inspect`. */
export const meaninglessForInspect: Readonly<Record<string, string>> = {
  "-s": "members have the files of this machine",
  "--size": "members have the files of this machine",
};
