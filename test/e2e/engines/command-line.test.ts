import type { Lab } from "../../lab/lab.ts";
import type { Outcome } from "../../lab/process.ts";
import { isSlipway } from "../../lab/product.ts";
import { expect, test } from "../fixture.ts";

// The results of a command line, Slipway's and slirp4netns's own, on one machine.

/** The outcome of a command line with each of the two. */
async function both(lab: Lab, line: string): Promise<readonly [Outcome, Outcome]> {
  const args = line.split(" ").filter((arg) => arg !== "");
  const ours = lab.host.helper(args);
  const theirs = lab.host.helper(args, {}, ["/usr/bin/slirp4netns"]);
  return [await ours.ended(10_000), await theirs.ended(10_000)];
}

const labelled = /^[\w ]+(?=:)/gm;

test.runIf(isSlipway)("outcomes of command lines are those of slirp4netns", async ({ lab }) => {
  const lines = [
    ...["", "--help", "-h", "--version", "-v", "--bogus", "1", "-c"],
    ...["--mtu=x 1 tap0", "--mtu=65522 1 tap0", "--cidr=10.0.2.0 1 tap0", "--ready-fd=x 1 tap0"],
    ...[
      "4194304 tap0",
      "--netns-type=path /nonexistent tap0",
      "--netns-type=path /etc/passwd tap0",
    ],
    ...["--netns-type=what 1 tap0", "--outbound-addr=192.0.2.77 1 tap0"],
  ];
  for (const line of lines) {
    const [ours, theirs] = await both(lab, line);
    expect([line, ours.code]).toEqual([line, theirs.code]);
  }
});

test.runIf(isSlipway)("--version has the same lines", async ({ lab }) => {
  const [ours, theirs] = await both(lab, "--version");
  expect(ours.stdout).toMatch(/^slirp4netns version \d+\.\d+\.\d+\n/);
  expect(ours.stdout.match(labelled)).toEqual(theirs.stdout.match(labelled));
});

test.runIf(isSlipway)(
  "--help goes to the same stream and has the same options",
  async ({ lab }) => {
    const [ours, theirs] = await both(lab, "--help");
    const options = theirs.stdout.match(/--[a-z0-9-]+/g) ?? [];
    expect(options).toContain("--configure");
    expect(ours.stdout.match(/--[a-z0-9-]+/g)).toEqual(expect.arrayContaining(options));
  },
);
