import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accountsPossible } from "../../lab/account.ts";
import { Lab } from "../../lab/lab.ts";
import { helper, isSlipway } from "../../lab/product.ts";
import { Podman } from "./podman.ts";

const { possible, why } = accountsPossible();

/** Reports for each process of Slipway whether its memory, descriptors and files can be opened. */
const LOOK_AROUND = `
  for process in /proc/[0-9]*; do
    read -r name < $process/comm || continue
    case $name in slirp4netns|slipway*) ;; *) continue ;; esac
    (: <> $process/mem) 2>/dev/null && echo "$name: memory"
    readlink $process/fd/0 >/dev/null 2>&1 && echo "$name: descriptors"
    ls $process/root/ >/dev/null 2>&1 && echo "$name: root"
    cat $process/environ >/dev/null 2>&1 && echo "$name: environment"
    echo "$name: seen"
  done | sort
`;

/** Containers that see the host's processes, as the same user as their helper for the kernel. */
describe.runIf(possible && isSlipway)(possible ? "podman run --pid=host" : why, () => {
  let lab: Lab;
  let podman: Podman;
  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
    const path = lab.host.stage.inside(helper);
    podman = await Podman.create(lab, { name: "Slipway", path, firstPort: 8_900 });
  });
  afterAll(async () => {
    await podman.close();
    await lab.close();
  });

  test.each([
    ["without capabilities", ["--cap-drop=all"]],
    ["with podman's capabilities", []],
  ])("%s a container cannot look into its helper", async (_, options) => {
    const seen = await podman.run(
      ["--pid=host", "--network=slirp4netns", ...options],
      ...["sh", "-c", LOOK_AROUND],
    );
    expect(seen.split("\n")).toEqual(["slipway-keeper: seen", "slirp4netns: seen"]);
  });
});
