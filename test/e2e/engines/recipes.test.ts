import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Account, accountsPossible } from "../../lab/account.ts";
import { Lab } from "../../lab/lab.ts";
import { helper, isSlipway, root } from "../../lab/product.ts";

const document = readFileSync(join(root, "docs/use-with.md"), "utf8");
const recipes = [...document.matchAll(/^```sh\n# recipe: (\S+)\n(.*?)^```$/gms)].map(
  ([, name = "", script = ""]) => ({ name, script }),
);

/** What a recipe prints when its network works; most print the address. */
const prints: Readonly<Record<string, RegExp>> = {
  // Of the image that podman has imported. The others use it.
  image: /^sha256:[0-9a-f]{64}$/m,
  // A client on the host's loopback appears as the gateway.
  "podman-ports": /^\S*10\.0\.2\.2\]?$/m,
  pesto: /^\S+$.*^-t 8088:80$/ms,
  "podman-network":
    /^\[?(?:(?:::ffff:)?10\.89\.8\.\d+|fd[0-9a-f:]+)\]?$.*^Address: 10\.89\.8\.2$.*^removed$/ms,
  "crun-network": /^Address: 10\.89\.9\.2$/m,
  // slipway run finds the container, a container does too, and DEL has left nothing.
  "podman-cni": /^10\.89\.7\.50 +STREAM db$.*^Address: 10\.89\.7\.50$.*^removed$/ms,
  nginx: /^hello from www-data$/m,
};

const { possible, why } = accountsPossible();

describe.runIf(possible && isSlipway)(possible ? "docs/use-with.md" : why, () => {
  let lab: Lab;
  let account: Account;

  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
    account = await Account.create(lab, "u", [dirname(lab.host.stage.inside(helper))]);
    await account.user.shell(`
      mkdir -p .config/containers
      printf '[storage]\\ndriver = "vfs"\\n' > .config/containers/storage.conf
      printf '[containers]\\nlog_driver = "k8s-file"\\n' > .config/containers/containers.conf
    `);
  });

  afterAll(async () => {
    await account.user.output(["podman", "system", "migrate"]);
    await account.user.output(["slipway", "daemon", "stop"]);
    await account.close();
    await lab.close();
  });

  test("has a recipe of each kind", () => {
    const names = recipes.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["podman", "buildah", "rootlesskit", "crun", "bubblewrap"]),
    );
  });

  test.for(recipes)("$name", async ({ name, script }) => {
    const text = await account.user.output(["sh", "-euc", script]);
    expect(text).toMatch(prints[name] ?? /inet 10\.0\.2\.100\/24/);
  });
});
