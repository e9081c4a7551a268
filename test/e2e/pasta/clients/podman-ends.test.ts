import { expect } from "vitest";
import { fetch4, image, serving } from "../../engines/image.ts";
import { type Podman, seenFromHost } from "../../engines/podman.ts";
import { compare } from "./comparison.ts";
import { comparePodmans, podman5 } from "./podman.ts";

/** In the shell, the number of the process that has the guest; brackets exclude pgrep's own shell. */
const helperPid = "$(pgrep --full --newest -- '--config-ne[t]')";

comparePodmans("podman and the end of pasta", (check) => {
  check(
    "podman restart finds its port free, each time",
    async (podman) => {
      const port = podman.port();
      await using box = await podman.start(["-p", `${port}:80`], ...serving);
      for (let round = 0; round < 5; round += 1) {
        await podman.do("restart", "--time=0", box.id);
        await seenFromHost(podman.lab, port);
      }
      expect(await podman.helpers()).toHaveLength(1);
    },
    { why: "still has the port, more often than not", error: null },
  );

  check("a container that ends by itself leaves nothing", async (podman) => {
    const port = podman.port();
    await podman.run(["-p", `${port}:80`], "true");
    await expect.poll(() => podman.helpers()).toEqual([]);
    expect(await namespacesLeft(podman)).toBe("");
  });

  check("a container that is killed leaves nothing", async (podman) => {
    await using box = await podman.start([], "sleep", "1000");
    const pid = await podman.do("inspect", "--format={{.State.Pid}}", box.id);
    await podman.account.user.output(["kill", "-KILL", pid]);
    await podman.do("wait", box.id);
    await expect.poll(() => podman.helpers()).toEqual([]);
    await expect.poll(() => namespacesLeft(podman)).toBe("");
  });

  check("podman's output ends with podman", async (podman) => {
    // A helper that held on to podman's pipe would keep the reader waiting as long as the container runs.
    const script = `podman run --detach ${image} sleep 1000 | cat`;
    const id = (await podman.account.user.shell(script)).trim();
    expect(await podman.helpers()).toHaveLength(1);
    await podman.do("rm", "--force", "--time=0", id);
  });
});

compare("podman run: what pasta may do", podman5, (check) => {
  check(
    "the helper has a system call filter, and sees no files and no other process",
    async (podman) => {
      await using box = await podman.start([], "sleep", "1000");
      expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
      const { root } = podman.account;
      const status = await root.shell(`cat /proc/${helperPid}/status`);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      const own = await root.shell(`
      for kind in user pid ipc uts mnt; do
        [ "$(readlink /proc/${helperPid}/ns/$kind)" = "$(readlink /proc/self/ns/$kind)" ] || echo $kind
      done
      ls -A /proc/${helperPid}/root/
    `);
      expect(own.trim().split("\n")).toEqual(["user", "pid", "ipc", "uts", "mnt"]);
    },
  );

  check(
    "the helper has no capability",
    async (podman) => {
      await using _box = await podman.start([], "sleep", "1000");
      const status = await podman.account.root.shell(`cat /proc/${helperPid}/status`);
      expect(status).toMatch(/^CapPrm:\t0{16}\nCapEff:\t0{16}\nCapBnd:\t0{16}$/m);
    },
    { why: "CAP_SYS_ADMIN and CAP_NET_BIND_SERVICE in its user namespace", error: /CapEff/ },
  );
});

/** Files of network namespaces that podman has not removed. */
function namespacesLeft(podman: Podman): Promise<string> {
  return podman.account.user.shell('ls "$XDG_RUNTIME_DIR"/netns');
}
