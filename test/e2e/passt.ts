import type { Lab } from "../lab/lab.ts";
import type { Process, ProcessOptions } from "../lab/process.ts";
import { userDirectory } from "./api-client.ts";

let serial = 0;

/** Starts passt in the foreground. */
export function startPasst(lab: Lab, options: readonly string[], how?: ProcessOptions): Process {
  return lab.host.user.spawn([lab.host.program("passt"), "-f", ...options], how);
}

/** The same, with a socket. @returns it and the path of its socket, which clients may connect to */
export async function servedPasst(
  lab: Lab,
  ...options: readonly string[]
): Promise<[Process, string]> {
  serial += 1;
  const path = `${await userDirectory(lab)}/passt.${serial}`;
  const passt = startPasst(lab, ["--socket", path, ...options]);
  await passt.printed(/is served/);
  return [passt, path];
}
