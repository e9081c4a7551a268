import { Account, accountsPossible } from "../lab/account.ts";
import { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { test as base, describe, expect } from "./fixture.ts";

const { possible, why } = accountsPossible();
if (!possible) console.warn(`skipped: ${why}`);

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
  .extend("account", { scope: "file" }, async ({}, { onCleanup }) => {
    const lab = await Lab.create(undefined, true);
    const account = await Account.create(lab, "m");
    onCleanup(async () => {
      await account.user.run([lab.host.slipwayPath, "daemon", "stop"]);
      await account.close();
      await lab.close();
    });
    return account;
  })
  .runIf(isSlipway && possible);

/** Each has the ids mapped in its own way. */
const ways = [
  ["alone", []],
  ["that sees the host's processes", ["--pid", "host"]],
  ["on a network", ["--network", "bridge"]],
  ["without a network", ["--network", "none"]],
] as const;

function run(account: Account, ...args: string[]): Promise<Outcome> {
  return account.user.run([account.lab.host.slipwayPath, "run", "--map-auto", ...args]);
}

describe("a COMMAND with --map-auto", () => {
  test.for(ways)("%s gives files to other users, and becomes one", async ([, way], { account }) => {
    const script = `cd; touch given; chown 1:2 given; stat -c '%u %g' given
      setpriv --reuid=33 --regid=33 --init-groups sh -c 'echo $(id -u) $(id -G)'
      chown 0:0 given; stat -c '%u %g' given; rm given`;
    const { stdout, stderr, code } = await run(account, ...way, "--", "sh", "-euc", script);
    expect({ stdout, stderr, code }).toEqual({ stdout: "1 2\n33 33\n0 0\n", stderr: "", code: 0 });
  });

  test("runs a server that becomes another user", async ({ account }) => {
    // Only nginx's workers, as www-data, may read the page.
    const script = `
      directory=$(mktemp -d); cd $directory; chmod 0755 .
      echo hello from www-data > page; chown 33:33 page; chmod 0400 page
      cat > nginx.conf <<END
        user www-data; pid $directory/pid; error_log stderr; worker_processes 1;
        events {}
        http { access_log off; client_body_temp_path $directory/body; proxy_temp_path $directory/proxy;
          fastcgi_temp_path $directory/fastcgi; uwsgi_temp_path $directory/uwsgi; scgi_temp_path $directory/scgi;
          server { listen 127.0.0.1:80; root $directory; default_type text/plain; } }
END
      nginx -p $directory -c nginx.conf -e stderr
      curl --silent --show-error --fail http://127.0.0.1/page
      stat -c %u body
      kill $(cat pid); while test -e pid; do sleep 0.05; done; cd; rm -r $directory`;
    const { stdout, stderr, code } = await run(account, "--", "sh", "-euc", script);
    expect({ stdout, stderr, code }).toEqual({
      stdout: "hello from www-data\n33\n",
      stderr: "",
      code: 0,
    });
  });

  test("keeps its ids among the others with --keep-id", async ({ account }) => {
    const own = await account.user.output(["id", "-u"]);
    const script = `id -u; cd; touch own; stat -c %u own; rm own
      tr -s ' ' < /proc/self/uid_map | cut -d' ' -f 2 | sort -n`;
    const { stdout } = await run(
      account,
      "--keep-id",
      "--network",
      "none",
      "--",
      "sh",
      "-c",
      script,
    );
    // Whether some are left for those above it depends on how many there are.
    expect(stdout.slice(0, 3 * own.length + 2)).toBe(`${own}${own}0\n${own}`);
  });

  test("is where --network container: leads to", async ({ account }) => {
    const process = account.user.spawn([
      ...[
        account.lab.host.slipwayPath,
        "run",
        "--map-auto",
        "--network",
        "bridge",
        "--name",
        "many",
      ],
      ...["--", "sh", "-c", "echo here; exec sleep 4501"],
    ]);
    await process.printed(/here/);
    const { slipwayPath } = account.lab.host;
    const command = ["run", "--network", "container:many", "--", "cat", "/proc/self/uid_map"];
    const lines = (await account.user.output([slipwayPath, ...command])).trim().split("\n");
    expect(lines.length).toBeGreaterThan(1);
    process.kill("SIGTERM");
    await process.ended(10_000);
  });
});

describe("--map-auto says what it lacks:", () => {
  test("as slipway doctor does", async ({ account }) => {
    const { host } = account.lab;
    const doctor = [host.slipwayPath, "doctor"];
    expect(await account.user.output(doctor)).toMatch(/^ok +subordinate ids +for --map-auto$/m);
    const path = ["env", "PATH=/nonexistent"];
    expect(await account.user.output([...path, ...doctor])).toMatch(
      /^warning +subordinate ids +newuidmap is missing[^\n]*\n +fix: sudo apt-get install uidmap$/m,
    );
    expect(await host.user.output(doctor)).toMatch(
      /^warning +subordinate ids +no ids for [^\n]*\n +fix: sudo usermod --add-subuids /m,
    );
  });

  test("subordinate ids", async ({ account }) => {
    // Only in the account there are some.
    const { host } = account.lab;
    const { code, stderr } = await host.user.run([host.slipwayPath, "run", "--map-auto", "true"]);
    expect(`${code} ${stderr}`).toMatch(
      /^1 slipway: --map-auto: no ids for (\w+) in \/etc\/subuid and \/etc\/subgid: sudo usermod --add-subuids \d+-\d+ --add-subgids \d+-\d+ \1\n$/,
    );
  });

  test("newuidmap", async ({ account }) => {
    const { slipwayPath } = account.lab.host;
    const path = ["env", "PATH=/nonexistent"];
    const command = [...path, slipwayPath, "run", "--map-auto", "--", "/bin/true"];
    const { code, stderr } = await account.user.run(command);
    expect(`${code} ${stderr}`).toBe(
      "1 slipway: --map-auto: newuidmap is missing: sudo apt-get install uidmap\n",
    );
  });

  test("newuidmap's privileges", async ({ account }) => {
    const { slipwayPath } = account.lab.host;
    const command = ["setpriv", "--no-new-privs", slipwayPath, "run", "--map-auto", "--", "true"];
    const { code, stderr } = await account.user.run(command);
    expect(`${code} ${stderr}`).toBe(
      "1 slipway: --map-auto: newuidmap does not map the ids of /etc/subuid here (EPERM): unshare --user --map-auto true shows why\n",
    );
  });
});
