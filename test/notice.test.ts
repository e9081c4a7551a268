import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Manifest {
  readonly version: string;
  readonly license: string;
}

/** Names of the npm packages with a module in the bundle. */
async function bundledPackages(): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: ["src/cli/main.ts", "src/cli/daemon-main.ts"],
    outdir: "build",
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const names = Object.keys(metafile.inputs).flatMap(
    // Under any path: node_modules of a git worktree may be links to those of another checkout.
    (path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  return [...new Set(names)].sort();
}

test("NOTICE names the npm packages in the bundle, and no other", async () => {
  const notice = readFileSync(`${root}/NOTICE`, "utf8");
  const sections = notice.matchAll(/, each under the (\S+) License\n-+\n(.*?)(?=\n-{20})/gs);
  const named = [...sections].flatMap(([, license, text = ""]) =>
    [...text.matchAll(/^(\S+) ([\d.]+) +Copyright/gm)].map(
      ([, name, version]) => `${name} ${version} ${license}`,
    ),
  );
  const bundled = (await bundledPackages()).map((name) => {
    const path = `${root}/node_modules/${name}/package.json`;
    const { version, license }: Manifest = JSON.parse(readFileSync(path, "utf8"));
    return `${name} ${version} ${license}`;
  });
  expect(named.sort()).toEqual(bundled.sort());
});
