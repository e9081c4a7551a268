import { expect } from "vitest";
import { Account } from "../../lab/account.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Engine, Helper } from "../comparison.ts";
import { compare } from "./comparison.ts";
import { fetch4, makeImage, worldFile } from "./image.ts";

/** Programs that make namespaces and start no helper: the test starts it. */
class Namespaces implements Engine {
  readonly #account: Account;
  readonly #helper: Helper;
  /** of the world's file, in hex */
  readonly sha256: string;

  private constructor(account: Account, helper: Helper, sha256: string) {
    this.#account = account;
    this.#helper = helper;
    this.sha256 = sha256;
  }

  static async create(lab: Lab, helper: Helper): Promise<Namespaces> {
    const account = await Account.create(lab, `n${helper.firstPort}`);
    await makeImage(account);
    return new Namespaces(account, helper, await worldFile(lab));
  }

  /** Runs a script in which `$helper` is the helper's path; returns its stdout. */
  run(script: string): Promise<string> {
    return this.#account.user.output(["env", `helper=${this.#helper.path}`, "sh", "-euc", script]);
  }

  close(): Promise<void> {
    return this.#account.close();
  }
}

compare("namespaces of", Namespaces.create, (check) => {
  check("crun", async (namespaces) => {
    const text = await namespaces.run(`
      mkdir bundle
      cp -a image bundle/rootfs
      cd bundle
      crun spec --rootless
      sed -i 's/"terminal": true/"terminal": false/; s/"readonly": true/"readonly": false/
              s/"sh"/"sleep", "1000"/' config.json
      crun --cgroup-manager=disabled run --detach --pid-file=pid box
      mkfifo ready
      "$helper" --configure --ready-fd=3 "$(cat pid)" tap0 3> ready > log &
      head -c 1 ready
      crun exec box sh -c 'ip address show tap0; ${fetch4}'
      kill $!
      crun delete --force box
      wait
    `);
    expect(text).toContain("inet 10.0.2.100/24");
    expect(text).toContain(namespaces.sha256);
  });

  check("bubblewrap", async (namespaces) => {
    const text = await namespaces.run(`
      mkfifo info go
      bwrap --unshare-user --uid 0 --gid 0 --unshare-net --unshare-pid --die-with-parent \\
        --bind image / --proc /proc --dev /dev --info-fd 3 --block-fd 4 \\
        sh -c 'ip address show tap0; ${fetch4}' \\
        3> info 4<> go &
      sandbox=$!
      pid=$(sed -n 's/.*"child-pid": \\([0-9]*\\).*/\\1/p' info)
      # bwrap gives lo its address after that, and fails when a helper has brought lo up before.
      until grep -q 127.0.0.1 /proc/$pid/net/fib_trie; do sleep 0.05; done
      "$helper" --configure --ready-fd=3 "$pid" tap0 3> go > log &
      wait $sandbox
      kill $!
      wait
    `);
    expect(text).toContain("inet 10.0.2.100/24");
    expect(text).toContain(namespaces.sha256);
  });

  check(
    "crun: the helper ends with the container",
    async (namespaces) => {
      const text = await namespaces.run(`
        cd bundle
        crun --cgroup-manager=disabled run --detach --pid-file=pid box
        "$helper" --configure --ready-fd=3 "$(cat pid)" tap0 3> ready > log &
        [ "$(head -c 1 ready)" = 1 ] # it has not ended before
        crun delete --force box
        timeout 3 tail --pid=$! --follow /dev/null && echo ended || kill $!
      `);
      expect(text).toContain("ended");
    },
    { why: "it stays until it is killed", error: /to contain 'ended'/ },
  );
});
