import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import * as v from "valibot";
import { UserError } from "../../base/errors.js";
import type { GivenPort } from "../../protocol/messages.js";
import { hostsLines } from "../hosts-file.js";
import { memberResolvConf } from "../member-resolv-conf.js";
import type { ContainerState } from "./state.js";

const configSchema = v.object({
  root: v.object({ path: v.string() }),
  mounts: v.optional(
    v.array(v.object({ destination: v.string(), source: v.optional(v.string(), "") })),
    [],
  ),
});

/** First line of a file that we have made in a root file system, and may replace. */
const MARK = "# Made by slipway oci-hook.";

/**
 * Tells the container its name servers and its name, where the runtime has made resolv.conf and hosts for
 * it: in its bundle, or in a directory that has the name of its id, as podman does. A resolv.conf that is
 * nowhere is made in its root file system. All other files are somebody's, and left alone.
 * @throws UserError
 */
export function writeNames(
  { id, bundle }: ContainerState,
  name: string,
  ports: readonly GivenPort[],
): void {
  const { root, mounts } = readConfig(bundle);
  const addresses = ports.flatMap((port) => port.addresses);
  const resolvConf = mounts.find(({ destination }) => destination === "/etc/resolv.conf");
  if (resolvConf === undefined) {
    writeInRoot(path.resolve(bundle, root.path), resolvConfText("", ports));
  } else if (isOwn(resolvConf.source, id, bundle)) {
    const file = path.resolve(bundle, resolvConf.source);
    writeFileSync(file, resolvConfText(textOf(file), ports));
  }
  const hosts = mounts.find(({ destination }) => destination === "/etc/hosts");
  if (hosts === undefined || !isOwn(hosts.source, id, bundle)) return;
  const lines = hostsLines(addresses.map(({ address }) => ({ address, names: [name] })));
  appendFileSync(path.resolve(bundle, hosts.source), lines);
}

function resolvConfText(before: string, ports: readonly GivenPort[]): string {
  return memberResolvConf(before, ports, [], []);
}

/** Whether what is mounted is the container's own. */
function isOwn(source: string, id: string, bundle: string): boolean {
  const file = path.resolve(bundle, source);
  return file.startsWith(`${bundle}/`) || file.split("/").includes(id);
}

/** The root's files are the image's: its links shall not lead us out of it. */
function writeInRoot(root: string, text: string): void {
  const directory = path.join(root, "etc");
  const file = path.join(directory, "resolv.conf");
  const before = lstatSync(file, { throwIfNoEntry: false });
  if (before !== undefined && !(before.isFile() && textOf(file).startsWith(MARK))) return;
  mkdirSync(directory, { recursive: true });
  if (realpathSync(directory) !== path.join(realpathSync(root), "etc")) return;
  rmSync(file, { force: true });
  writeFileSync(file, `${MARK}\n${text}`, { flag: "wx", mode: 0o644 });
}

function readConfig(bundle: string): v.InferOutput<typeof configSchema> {
  const file = path.join(bundle, "config.json");
  try {
    return v.parse(configSchema, JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new UserError(`oci-hook: cannot read ${file} (${why}): it should be a bundle's`);
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // It is made now.
    return "";
  }
}
