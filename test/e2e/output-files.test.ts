import { join } from "node:path";
import { httpName } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { test as base, describe, expect } from "./fixture.ts";

// What another user, or a mistake, has put where --pcap and --log-file are to write: a folder like /tmp.

const test = base
  .extend("folder", { scope: "file" }, async ({ lab }) => {
    const folder = join(lab.directory, "shared");
    await lab.host.root.shell(`mkdir -m 1777 ${folder}`);
    return folder;
  })
  .runIf(isSlipway);

const options = ["--pcap", "--log-file"] as const;

let serial = 0;

/** A name in the folder that no test has used. */
function fresh(folder: string): string {
  serial += 1;
  return join(folder, `output${serial}`);
}

function writeTo(lab: Lab, option: string, file: string): Promise<Outcome> {
  const command = ["curl", "-sS", "-o", "/dev/null", `http://${httpName}/`];
  return lab.host.slipway(["run", option, file, "--", ...command]).ended(20_000);
}

/** Fails with one line that names the file, before anything has run. */
function expectRefused(
  { code, stdout, stderr }: Outcome,
  option: string,
  file: string,
  why: RegExp,
) {
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(new RegExp(`^slipway: ${option} ${file} [^\\n]+\\n$`));
  expect([code, stdout]).toEqual([1, ""]);
}

/** Linux may refuse first: fs.protected_regular, protected_fifos and protected_symlinks. */
const KERNEL = /cannot be written \(EACCES\)/.source;

describe.each(options)("%s", (option) => {
  test("does not write to a file that another user has made", async ({ lab, folder, skip }) => {
    skip(!lab.host.stage.privileged, "needs a second uid");
    const file = fresh(folder);
    await lab.host.root.shell(`install -m 666 /dev/null ${file}; chown 60999 ${file}`);
    const why = new RegExp(`is another user's: choose a file of your own|${KERNEL}`);
    expectRefused(await writeTo(lab, option, file), option, file, why);
    expect(await lab.host.root.output(["stat", "-c", "%s %a %u", file])).toBe("0 666 60999\n");
  });

  test("does not follow a link to a file of the user", async ({ lab, folder }) => {
    const file = fresh(folder);
    const precious = fresh(folder);
    await lab.host.user.shell(`umask 077; echo precious > ${precious}`);
    await lab.host.root.shell(`ln -s ${precious} ${file}`);
    const why = new RegExp(`is a symbolic link: give the file itself|${KERNEL}`);
    expectRefused(await writeTo(lab, option, file), option, file, why);
    expect(await lab.host.user.output(["cat", precious])).toBe("precious\n");
  });

  test("does not create a file at a link's target", async ({ lab, folder }) => {
    const file = fresh(folder);
    const target = fresh(folder);
    await lab.host.root.shell(`ln -s ${target} ${file}`);
    const why = new RegExp(`is a symbolic link: give the file itself|${KERNEL}`);
    expectRefused(await writeTo(lab, option, file), option, file, why);
    expect((await lab.host.root.run(["test", "-e", target])).code).toBe(1);
  });

  test("does not write to a file of the user through a second name", async ({ lab, folder }) => {
    const file = fresh(folder);
    const precious = fresh(folder);
    // As another user may if fs.protected_hardlinks is 0.
    await lab.host.user.shell(`echo precious > ${precious}; ln ${precious} ${file}`);
    expectRefused(await writeTo(lab, option, file), option, file, /has another name, too: choose/);
    expect(await lab.host.user.output(["cat", precious])).toBe("precious\n");
  });

  test.for([true, false])("does not write a FIFO, read: %s", async (isRead, { lab, folder }) => {
    const file = fresh(folder);
    await lab.host.root.shell(`mkfifo ${file}; chmod 666 ${file}`);
    const script = `exec 9<>${file}; echo reads; exec cat <&9`;
    const reader = isRead ? lab.host.root.spawn(["sh", "-c", script]) : null;
    await reader?.printed(/reads/);
    const why = new RegExp(`is not a regular file|${KERNEL}`);
    expectRefused(await writeTo(lab, option, file), option, file, why);
    reader?.kill("SIGKILL");
    await reader?.exit;
    expect(reader?.stdout ?? "reads\n").toBe("reads\n");
  });

  test("creates a file private to its user, and accepts it again", async ({ lab, folder }) => {
    const file = fresh(folder);
    const size = () => lab.host.user.output(["stat", "-c", "%s", file]).then(Number);
    expect((await writeTo(lab, option, file)).stderr).toBe("");
    expect(await lab.host.user.output(["stat", "-c", "%a", file])).toBe("600\n");
    const first = await size();
    expect(first).toBeGreaterThan(0);
    expect((await writeTo(lab, option, file)).stderr).toBe("");
    // A log is continued, a capture starts anew.
    if (option === "--log-file") expect(await size()).toBeGreaterThan(first);
    else expect(await lab.host.user.output(["head", "-c", "4", file])).toBe("\n\r\r\n");
  });

  test("writes to a device, and to a pipe that the caller has opened", async ({ lab, folder }) => {
    expect((await writeTo(lab, option, "/dev/null")).stderr).toBe("");
    const copy = fresh(folder);
    const script = `"$1" run ${option} >(cat > ${copy}) -- true; wait $!`;
    const shell = await lab.host.user.run(["bash", "-c", script, "bash", lab.host.slipwayPath]);
    expect([shell.code, shell.stderr]).toEqual([0, ""]);
    await expect.poll(() => lab.host.user.output(["stat", "-c", "%s", copy])).not.toBe("0\n");
  });
});

test("--pcap makes a user's file that others could read private", async ({ lab, folder }) => {
  const file = fresh(folder);
  await lab.host.user.shell(`echo old > ${file}; chmod 644 ${file}`);
  expect((await writeTo(lab, "--pcap", file)).stderr).toBe("");
  expect(await lab.host.user.output(["stat", "-c", "%a", file])).toBe("600\n");
});
