import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// With runtimes: engines/oci-hook.test.ts.

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    await user.ok("network", "create", "web", "--subnet", "10.90.6.0/24");
    return user;
  })
  .runIf(isSlipway);

interface State {
  readonly id: string;
  readonly status: string;
  readonly pid?: number;
  readonly bundle?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Calls the hook as a runtime does; returns its status and output. */
async function hook(user: DaemonUser, state: State | string): Promise<string> {
  const { code, stdout, stderr } = await user.lab.host.user.run(
    [user.lab.host.slipwayPath, "oci-hook"],
    { env: user.env, input: typeof state === "string" ? state : JSON.stringify(state) },
  );
  expect(stdout).toBe("");
  return `${code} ${stderr}`.trim();
}

/** A bundle; `mounts` are files outside the container that it sees. */
async function makeBundle(user: DaemonUser, name: string, mounts: object[] = []) {
  const bundle = `${user.lab.directory}/${name}`;
  const config = JSON.stringify({ root: { path: "rootfs" }, mounts });
  await user.lab.host.user.shell(`
    mkdir -p ${bundle}/rootfs
    echo '${config}' > ${bundle}/config.json
  `);
  return bundle;
}

/** What the hook prints of a file that it leaves alone, after the status. */
function notOwn(id: string, name: string, source: string): string {
  const status = name === "resolv.conf" ? "0 " : "";
  return `${status}slipway: warning: oci-hook: not changed: ${source}, which is /etc/${name} of container ${id}, may belong to others: mount a file ${name} from the bundle`;
}

const annotations = { "io.slipway.network": "web:ip=10.90.6.50", "io.slipway.name": "proj_box.1" };

describe("slipway oci-hook", () => {
  test("attaches at createRuntime, and detaches at poststop", async ({ user, lab }) => {
    const { pid } = await lab.host.namespace();
    const bundle = await makeBundle(user, "plain");
    const state = { ociVersion: "1.0.2", id: "plain", pid, bundle, annotations };
    expect(await hook(user, { ...state, status: "creating" })).toBe("0");
    expect(await user.members()).toMatchObject([
      { name: "proj_box.1", pid, labels: { "io.slipway.oci": "plain" } },
    ]);
    const file = `${bundle}/rootfs/etc/resolv.conf`;
    expect(await lab.host.user.output(["cat", file])).toBe(
      "# Made by slipway oci-hook.\nnameserver 10.90.6.1\noptions ndots:0\n",
    );
    expect(await hook(user, { ...state, pid: 0, status: "stopped" })).toBe("0");
    expect(await user.members()).toEqual([]);
    // Again, and of one that never existed.
    expect(await hook(user, { ...state, pid: 0, status: "stopped" })).toBe("0");
    // It may replace what it has made.
    const again = { "io.slipway.network": "bridge" };
    expect(await hook(user, { ...state, status: "creating", annotations: again })).toBe("0");
    expect(await lab.host.user.output(["cat", file])).not.toContain("10.90.6.1");
    expect(await hook(user, { ...state, status: "stopped" })).toBe("0");
  });

  test("does not change files that are not the container's", async ({ user, lab }) => {
    const host = `${lab.directory}/hosts-own`;
    await lab.host.user.shell(`echo mine > ${host}`);
    const mounts = ["resolv.conf", "hosts"].map((name) => ({
      destination: `/etc/${name}`,
      source: host,
    }));
    const bundle = await makeBundle(user, "foreign", mounts);
    const linked = await makeBundle(user, "linked");
    await lab.host.user.shell(`mkdir ${linked}/outside; ln -s ../outside ${linked}/rootfs/etc`);
    const kept = await makeBundle(user, "kept");
    await lab.host.user.shell(
      `mkdir ${kept}/rootfs/etc; echo mine > ${kept}/rootfs/etc/resolv.conf`,
    );
    for (const each of [bundle, linked, kept]) {
      const { pid } = await lab.host.namespace();
      const state = { id: "other", status: "created", pid, bundle: each, annotations };
      expect(await hook(user, state)).toBe(
        each === bundle
          ? ["resolv.conf", "hosts"].map((name) => notOwn("other", name, host)).join("\n")
          : "0",
      );
      expect(await hook(user, { ...state, status: "stopped" })).toBe("0");
    }
    expect(await lab.host.user.output(["cat", host, `${kept}/rootfs/etc/resolv.conf`])).toBe(
      "mine\nmine\n",
    );
    expect(await lab.host.user.output(["ls", `${linked}/outside`])).toBe("");
  });

  test("changes no file of the user through a container's id or a link", async ({ user, lab }) => {
    const home = `${lab.directory}/home`;
    const id = "b".repeat(64);
    const bundles = `${lab.directory}/overlay-containers/${id}/userdata`;
    // A component that is the id; one that podman would have; a link and another name in the bundle.
    const sources = {
      notes: `${home}/alice/notes`,
      resolvConf: `${home}/alice/resolv.conf`,
      deep: `${home}/${id}/resolv.conf`,
      link: `${bundles}/resolv.conf`,
      through: `${bundles}/away/resolv.conf`,
      hard: `${bundles}/hard/resolv.conf`,
      other: `${bundles}/data`,
    };
    await lab.host.user.shell(`
      mkdir -p ${home}/alice ${home}/${id} ${bundles}/hard
      for file in ${home}/alice/notes ${home}/alice/resolv.conf ${home}/${id}/resolv.conf ${bundles}/data; do
        echo mine > $file
      done
      ln -s ${home}/alice/notes ${bundles}/resolv.conf
      ln -s ${home}/alice ${bundles}/away
      ln ${home}/alice/notes ${bundles}/hard/resolv.conf
    `);
    for (const [what, source] of Object.entries(sources)) {
      const { pid } = await lab.host.namespace();
      const config = JSON.stringify({
        root: { path: "rootfs" },
        mounts: [{ destination: "/etc/resolv.conf", source }],
      });
      await lab.host.user.shell(`echo '${config}' > ${bundles}/config.json`);
      const own = what === "notes" || what === "resolvConf" ? "alice" : id;
      const state = { id: own, status: "created", pid, bundle: bundles, annotations };
      const said = await hook(user, state);
      expect(await lab.host.user.output(["cat", source]), what).toBe("mine\n");
      expect(said, what).toBe(notOwn(own, "resolv.conf", source));
      expect(await hook(user, { ...state, status: "stopped" })).toBe("0");
    }
  });

  test("changes only the files that podman has for this container", async ({ user, lab }) => {
    const id = "c".repeat(64);
    const bundle = `${lab.directory}/storage/overlay-containers/${id}/userdata`;
    const run = `${lab.directory}/run/overlay-containers/${id}/userdata`;
    const mounts = ["resolv.conf", "hosts"].map((name) => ({
      destination: `/etc/${name}`,
      source: `${run}/${name}`,
    }));
    const config = JSON.stringify({ root: { path: "rootfs" }, mounts });
    await lab.host.user.shell(`
      mkdir -p ${bundle} ${run}
      echo '${config}' > ${bundle}/config.json
      echo 'nameserver 192.0.2.1' > ${run}/resolv.conf
      echo '127.0.0.1 localhost' > ${run}/hosts
    `);
    const { pid } = await lab.host.namespace();
    const state = { id, status: "created", pid, bundle, annotations };
    expect(await hook(user, state)).toBe("0");
    expect(await lab.host.user.output(["cat", `${run}/resolv.conf`, `${run}/hosts`])).toBe(
      "nameserver 10.90.6.1\noptions ndots:0\n127.0.0.1 localhost\n10.90.6.50\tproj_box.1\n",
    );
    expect(await hook(user, { ...state, status: "stopped" })).toBe("0");
  });

  test("leaves nothing of a container that dies without poststop", async ({ user, lab }) => {
    const namespace = await lab.host.namespace();
    const bundle = await makeBundle(user, "dead");
    const { pid } = namespace;
    expect(await hook(user, { id: "dead", status: "created", pid, bundle, annotations })).toBe("0");
    await namespace.release();
    await eventually(async () => expect(await user.members()).toEqual([]));
  });

  test.for([
    ["nonsense", "2 slipway: oci-hook: stdin is not the state of a container"],
    ["{}", "2 slipway: oci-hook: stdin is not the state of a container (id is missing)"],
    [
      { annotations: {} },
      "1 slipway: oci-hook: container bad has no annotation io.slipway.network",
    ],
    [
      { annotations: { "io.slipway.network": "web:colour=red" } },
      '2 slipway: io.slipway.network web: "colour=red" is not one of',
    ],
    [
      { annotations: { "io.slipway.network": "host" } },
      "2 slipway: io.slipway.network host cannot be joined as a network",
    ],
    [
      { annotations: { "io.slipway.network": "web nope" } },
      "1 slipway: network nope does not exist",
    ],
    [
      { annotations: { ...annotations, "io.slipway.publish": "8100:80 nonsense" } },
      '1 slipway: --publish "nonsense": "nonsense" is not a port: give a number',
    ],
    [{ annotations, bundle: "/nowhere" }, "1 slipway: oci-hook: cannot read /nowhere/config.json"],
    [
      { annotations, pid: 1 },
      "1 slipway: oci-hook: cannot read the namespaces of the container's process 1",
    ],
  ] as const)("refuses %j, and leaves nothing", async ([given, sentence], { user, lab }) => {
    const { pid } = await lab.host.namespace();
    const bundle = await makeBundle(user, "bad");
    const state = { id: "bad", status: "created", pid, bundle };
    const said = await hook(user, typeof given === "string" ? given : { ...state, ...given });
    expect(said).toContain(sentence);
    expect(await user.members()).toEqual([]);
    expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8100");
  });

  test("reports that the daemon is not running", async ({ lab }) => {
    await using nobody = await DaemonUser.create(lab);
    const { pid } = await lab.host.namespace();
    const state = { id: "x", pid, bundle: "/nowhere", annotations };
    expect(await hook(nobody, { ...state, status: "created" })).toBe(
      "1 slipway: the daemon is not running: slipway daemon start",
    );
    expect(await hook(nobody, { ...state, status: "stopped" })).toBe("0");
  });
});
