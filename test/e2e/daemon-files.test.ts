import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../lab/lab.ts";
import { isSlipway, node, root } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, expect } from "./fixture.ts";

// Which files a daemon can open that was compromised after its lock-down.

const test = base.runIf(isSlipway);

/** Runs in the daemon's main thread on SIGUSR2: opens each path, and logs the error codes. */
const ATTACK = `
  const { isMainThread } = process.getBuiltinModule("node:worker_threads");
  if (isMainThread) process.on("SIGUSR2", () => {
    const fs = process.getBuiltinModule("node:fs");
    const codeOf = (path, flags) => {
      try {
        fs.closeSync(fs.openSync(path, flags));
        return "open";
      } catch ({ code }) {
        return code;
      }
    };
    const codes = JSON.parse(process.env.ATTACK).map(([path, flags]) => codeOf(path, flags));
    fs.writeSync(2, "attack: " + JSON.stringify(codes) + "\\n");
  });
`;

/** A copy of Slipway with the attack in it. */
function install(lab: Lab): string {
  const copy = join(lab.directory, "attacked");
  const outside = lab.host.stage.outside(copy);
  mkdirSync(join(outside, "bin"), { recursive: true });
  cpSync(join(root, "bin/slipway"), join(outside, "bin/slipway"));
  cpSync(join(root, "dist"), join(outside, "dist"), { recursive: true });
  const bundle = join(outside, "dist/daemon.cjs");
  writeFileSync(bundle, readFileSync(bundle, "latin1").replace("{", `{${ATTACK}`), "latin1");
  return join(copy, "bin/slipway");
}

test("a compromised daemon reads none of its user's files, and vouches for no namespace", async ({
  lab,
  skip,
}) => {
  await using user = await DaemonUser.create(lab);
  const { host } = lab;
  const uid = (await host.user.output(["id", "-u"])).trim();
  await host.root.shell(`
    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -p /run/user/${uid}/containers /run/systemd/resolve /run/other
    echo mine > /run/user/${uid}/notes
    echo mine > /run/user/${uid}/containers/auth.json
    echo other > /run/other/file
    echo 'nameserver 192.0.2.53' > /run/systemd/resolve/stub-resolv.conf
    chmod -R a+rX /run
  `);
  await host.user.shell(`echo mine > ${lab.directory}/notes`);
  const victim = host.user.spawn(["sleep", "1000"]);
  const write = "a";
  const attempts: readonly (readonly [string, string, string])[] = [
    ["/run/systemd/resolve/stub-resolv.conf", "r", "open"],
    ["/etc/resolv.conf", "r", "open"],
    [`${user.directory}/state.json`, write, "open"],
    [`/run/user/${uid}/notes`, "r", "EACCES"],
    [`/run/user/${uid}/containers/auth.json`, "r", "EACCES"],
    ["/run/other/file", "r", "EACCES"],
    [`${lab.directory}/notes`, "r", "EACCES"],
    [`${lab.directory}/notes`, write, "EACCES"],
    [`${user.directory}.stayed`, write, "EACCES"],
    [`${user.directory}.stayed.new`, write, "EACCES"],
    [`/proc/${victim.pid}/environ`, "r", "EACCES"],
    [`/proc/${victim.pid}/ns/net`, "r", "EACCES"],
    ["/usr/bin/env", "r", "EACCES"],
  ];
  const env = {
    ...user.env,
    SLIPWAY_NODE: host.stage.inside(node),
    ATTACK: JSON.stringify(attempts.map(([path, flags]) => [path, flags])),
  };
  await host.user.output([install(lab), "daemon", "start"], { env });
  await user.ok("network", "create", "web");
  const pid = (await user.ok("daemon", "status", "--format", "{{.pid}}")).trim();
  await host.user.output(["kill", "-USR2", pid]);
  const codes: readonly string[] = await eventually(async () => {
    const log = await host.user.output(["cat", `${user.directory}/daemon.log`]);
    return JSON.parse(/^attack: (.*)$/m.exec(log)?.[1] ?? "");
  });
  // On a kernel without Landlock the user's rights decide: docs/security.md, "Not promised".
  if (codes.at(-1) === "open") return skip("there is no Landlock here");
  expect(attempts.map(([path, flags], index) => [path, flags, codes[index]])).toEqual(attempts);
  victim.kill("SIGKILL");
});
