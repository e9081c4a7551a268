import {
  closeSync,
  constants,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import * as v from "valibot";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { FULL_ID } from "../../config/constants.js";
import { memberResolvConf } from "../../host/guest-resolv-conf.js";
import { hostsLines } from "../../netns/hosts-file.js";
import type { GivenAttachment } from "../../rpc/messages.js";
import { inside, openDirectoryBeneath, openOwnFile } from "./beneath.js";
import type { ContainerState } from "./state.js";

const { O_RDONLY, O_RDWR } = constants;

const configSchema = v.object({
  root: v.object({ path: v.string() }),
  mounts: v.optional(
    v.array(v.object({ destination: v.string(), source: v.optional(v.string(), "") })),
    [],
  ),
});

/** First line of a resolv.conf that we have made in a root file system, and so may replace. */
const MARK = "# Made by slipway oci-hook.";

/**
 * Writes name servers to the container's resolv.conf, and its name to its hosts file, if the runtime has made these
 * files for it: in its bundle, or where podman keeps the files of this container. If no resolv.conf is mounted, one is
 * made in the root file system. Files elsewhere may belong to others: a warning is logged, and they are not changed.
 * @throws UserError when config.json cannot be read
 */
export function writeNames(
  { id, bundle: given }: ContainerState,
  name: string,
  attachments: readonly GivenAttachment[],
): void {
  const bundle = path.resolve(given);
  const { root, mounts } = readConfig(bundle);
  const addresses = attachments.flatMap((each) => each.addresses);
  const sourceOf = (file: string): string | undefined =>
    mounts.findLast(({ destination }) => path.normalize(destination) === `/etc/${file}`)?.source;
  const resolvConf = sourceOf("resolv.conf");
  if (resolvConf === undefined) {
    writeInRoot(path.resolve(bundle, root.path), resolvConfText("", attachments));
  } else {
    change(path.resolve(bundle, resolvConf), "resolv.conf", { id, bundle }, (before) =>
      resolvConfText(before, attachments),
    );
  }
  const hosts = sourceOf("hosts");
  if (hosts === undefined) return;
  const lines = hostsLines(addresses.map(({ address }) => ({ address, names: [name] })));
  change(path.resolve(bundle, hosts), "hosts", { id, bundle }, (before) => before + lines);
}

function resolvConfText(before: string, attachments: readonly GivenAttachment[]): string {
  return memberResolvConf(before, attachments, [], []);
}

/** Changes the file that is mounted as /etc/NAME, if it is the container's own. */
function change(
  source: string,
  name: string,
  container: Pick<ContainerState, "id" | "bundle">,
  textOf: (before: string) => string,
): void {
  const base = path.basename(source) === name ? ownDirectory(source, container) : null;
  const file = base === null ? null : openOwnFile(base, path.relative(base, source), O_RDWR);
  if (file === null) {
    log.warn(
      `oci-hook: not changed: ${source}, which is /etc/${name} of container ${container.id}, may belong to others: mount a file ${name} from the bundle`,
    );
    return;
  }
  try {
    const text = textOf(readFileSync(file, "utf8"));
    ftruncateSync(file);
    writeSync(file, text, 0);
  } finally {
    closeSync(file);
  }
}

/**
 * The directory around a file that is this container's alone: its bundle, or `overlay-containers/ID/userdata` below
 * podman's run directory, if the bundle's path ends the same way. The id must be podman's: one that whoever starts the
 * container may choose would let it claim the directory of another.
 * @returns null when the file is in neither
 */
function ownDirectory(
  source: string,
  { id, bundle }: Pick<ContainerState, "id" | "bundle">,
): string | null {
  if (source.startsWith(`${bundle}/`)) return bundle;
  const directory = path.dirname(source);
  const [kind = "", own, userdata] = bundle.split("/").slice(-3);
  // Podman chooses ids at random, so nobody can write one into a configuration beforehand.
  const isPodmans =
    FULL_ID.test(id) && kind.endsWith("-containers") && own === id && userdata === "userdata";
  return isPodmans && directory.endsWith(`/${kind}/${id}/userdata`) ? directory : null;
}

/** Makes /etc/resolv.conf without following links: the image decides what is in the root, and a link may lead out. */
function writeInRoot(root: string, text: string): void {
  let directory: number;
  try {
    mkdirSync(path.join(root, "etc"), { recursive: true });
    directory = openDirectoryBeneath(root, "etc");
  } catch {
    // etc is a link, or not a directory.
    return;
  }
  try {
    const file = inside(directory, "resolv.conf");
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined && !isMadeByUs(root)) return;
    rmSync(file, { force: true });
    writeFileSync(file, `${MARK}\n${text}`, { flag: "wx", mode: 0o644 });
  } finally {
    closeSync(directory);
  }
}

function isMadeByUs(root: string): boolean {
  const file = openOwnFile(root, "etc/resolv.conf", O_RDONLY);
  if (file === null) return false;
  try {
    return readFileSync(file, "utf8").startsWith(MARK);
  } finally {
    closeSync(file);
  }
}

function readConfig(bundle: string): v.InferOutput<typeof configSchema> {
  const file = path.join(bundle, "config.json");
  try {
    return v.parse(configSchema, JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new UserError(
      `oci-hook: cannot read ${file} (${why}): the bundle in the container's state must have one`,
    );
  }
}
