import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { link } from "../../../lab/addresses.ts";
import { Lab } from "../../../lab/lab.ts";
import { slipway } from "../../../lab/product.ts";
import { fetch4, serving } from "../../engines/image.ts";
import { type Podman, seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { pasta } from "./comparison.ts";
import { podman5 } from "./podman.ts";

/** podman whose pasta has its guests served by the user's daemon. */
describe.runIf(pasta.possible)(pasta.possible ? "pasta in shared mode" : pasta.why, () => {
  let lab: Lab;
  let podman: Podman;

  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
    const path = pasta.paths(lab).ours;
    podman = await podman5(lab, { name: "shared", path, firstPort: 8_600 });
  });
  afterAll(async () => {
    await podman.close();
    await lab.close();
  });

  /** The helpers of all containers, none of which is Node. */
  const launchers = async (): Promise<readonly string[]> => {
    const helpers = await podman.helpers();
    expect(helpers.filter((line) => line.includes("node"))).toEqual([]);
    return helpers;
  };

  test("a container has the host's addresses, names, and a published port", async () => {
    const port = podman.port();
    await using box = await podman.start(["-p", `${port}:80`], ...serving);
    expect(await launchers()).toHaveLength(1);
    expect(await box.exec("ip", "-4", "addr")).toContain(`${link.host}/${link.length}`);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    await box.exec("nslookup", "world.example");
    expect(await seenFromWorld(lab, port)).toBe(link.world);
    // By a socket inside, which the daemon has of the launcher's agent.
    expect(await seenFromHost(lab, port)).toBe(link.host);
  });

  test("ten containers share one daemon, and leave nothing", async () => {
    const ids = await Promise.all(
      Array.from({ length: 10 }, () => podman.do("run", "-d", "localhost/box", "sleep", "1000")),
    );
    expect(await launchers()).toHaveLength(10);
    await podman.do("rm", "--force", "--time=0", ...ids);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  test("a process of its own takes over when the daemon is killed, with the port", async () => {
    const port = podman.port();
    await using box = await podman.start(["-p", `${port}:80`], ...serving);
    const [before] = await launchers();
    await podman.account.user.shell("pkill -KILL -f 'daemon ru[n]'");
    await expect.poll(() => podman.helpers()).not.toContain(before);
    expect(await seenFromWorld(lab, port)).toBe(link.world);
    expect(await seenFromHost(lab, port)).toBe(link.host);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    await podman.account.user.output([lab.host.stage.inside(slipway), "daemon", "start"]);
  });
});
