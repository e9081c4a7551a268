import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, accountsPossible } from "../../lab/account.ts";
import { link, served } from "../../lab/addresses.ts";
import { Lab } from "../../lab/lab.ts";
import { helper, isSlipway, slipway } from "../../lab/product.ts";
import type { Helper } from "../comparison.ts";
import { fetch4, serving } from "./image.ts";
import { Podman, seenFromHost, seenFromWorld } from "./podman.ts";
import { RootlessKit, status } from "./rootlesskit.ts";

const { possible, why } = accountsPossible();

/** Engines whose helpers get their network from the user's daemon. */
describe.runIf(possible && isSlipway)(possible ? "in shared mode" : why, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
  });
  afterAll(() => lab.close());

  const helperAt = (firstPort: number): Helper => ({
    name: "Slipway",
    path: lab.host.stage.inside(helper),
    firstPort,
  });
  const daemon = (account: Account, action: "start" | "stop") =>
    account.user.output([lab.host.stage.inside(slipway), "daemon", action]);

  /** `slipway port ls`, by --name. */
  const portsOf = async (account: Account, name: string): Promise<readonly object[]> => {
    const command = [lab.host.stage.inside(slipway), "port", "ls", "--json", "--name", name];
    return JSON.parse(await account.user.output(command));
  };

  test("podman gets a network, with a port through the API", async () => {
    await using podman = await Podman.create(lab, helperAt(8_400));
    // The line of docs/use-with.md.
    const line = 'env = ["SLIPWAY_SHARED=1"]';
    const config = ".config/containers/containers.conf";
    await podman.account.user.output(["sed", "-i", `s/^.engine.$/&\\n${line}/`, config]);
    await daemon(podman.account, "start");
    const port = podman.port();
    const network = "--network=slirp4netns:port_handler=slirp4netns";
    {
      const options = ["--name", "shop.web", network, "-p", `${port}:80`];
      await using box = await podman.start(options, ...serving);
      for (const name of ["shop.web", box.id, box.id.slice(0, 12)]) {
        expect(await portsOf(podman.account, name)).toMatchObject([{ host_port: port }]);
      }
      expect(await podman.helpers()).toEqual([expect.stringMatching(/^\S*\/slirp4netns --/)]);
      expect(await seenFromWorld(lab, port)).toBe(link.world);
      await seenFromHost(lab, port);
      expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    }
    expect(await podman.helpers()).toEqual([]);
    {
      await using box = await podman.start([network, "-p", `${port}:80`], ...serving);
      await seenFromWorld(lab, port);
      await daemon(podman.account, "stop");
      // A process of its own takes over, including the port.
      await expect
        .poll(() => podman.helpers(), { timeout: 10_000 })
        .toEqual([expect.stringContaining("/node ")]);
      await expect.poll(() => seenFromWorld(lab, port), { timeout: 10_000 }).toBe(link.world);
      expect(await portsOf(podman.account, box.id)).toMatchObject([{ host_port: port }]);
    }
  });

  test("RootlessKit gets a network, with a port through the API", async () => {
    await using kit = await RootlessKit.create(lab, helperAt(8_500), ["SLIPWAY_SHARED=1"]);
    await daemon(kit.account, "start");
    const port = kit.port();
    {
      await using session = await kit.start(
        ...["--port-driver=slirp4netns", "--disable-host-loopback", `-p=0.0.0.0:${port}:80/tcp`],
      );
      const [line = ""] = await kit.helpers();
      expect(line).toMatch(/^\S*\/slirp4netns --/);
      const [, child = ""] = / (\d+) tap0/.exec(line) ?? [];
      expect(await portsOf(kit.account, child)).toMatchObject([{ host_port: port }]);
      expect(await seenFromWorld(lab, port)).toBe(link.world);
      expect(await status(session.inside, served.http)).toBe("403");
    }
    await daemon(kit.account, "stop");
  });
});
