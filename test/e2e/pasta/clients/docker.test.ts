import { expect } from "vitest";
import { httpName, link, served } from "../../../lab/addresses.ts";
import type { Check } from "../../comparison.ts";
import { fetch4, serving } from "../../engines/image.ts";
import { seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { compare } from "./comparison.ts";
import { type Docker, dockers } from "./docker.ts";

for (const { title, why, make, reachesLoopback } of dockers) {
  compare(title, make, (check) => defineChecks(check, reachesLoopback), why);
}

function defineChecks(check: Check<Docker>, reachesLoopback: boolean): void {
  check("a container fetches a file and resolves names", async (docker) => {
    const text = await docker.run([], "sh", "-c", `${fetch4}; nslookup ${httpName}`);
    expect(text).toContain(docker.sha256);
    expect(text).toContain(served.http);
  });

  check("pings the world", async (docker) => {
    const text = await docker.run([], "ping", "-c", "1", "-W", "5", served.http);
    expect(text).toContain("1 packets received");
  });

  check("a published port is reached", async (docker) => {
    const port = docker.port();
    await using _web = await docker.start(["-p", `${port}:80`], ...serving);
    await seenFromHost(docker.lab, port);
    await seenFromHost(docker.lab, port, link.host);
    await seenFromWorld(docker.lab, port);
  });

  // docker-proxy listens at 127.0.0.1 inside, where RootlessKit 2 does not tell pasta to deliver.
  if (reachesLoopback) {
    check("a port published at 127.0.0.1 is reached from there", async (docker) => {
      const port = docker.port();
      await using _web = await docker.start(["-p", `127.0.0.1:${port}:80`], ...serving);
      await seenFromHost(docker.lab, port);
    });
  }

  check("containers of a network find each other by name", async (docker) => {
    await docker.do("network", "create", "net");
    {
      await using _web = await docker.start(["--network=net", "--name=web"], ...serving);
      const text = await docker.run(["--network=net"], "sh", "-c", `nslookup web; ${fetch4}`);
      expect(text).toMatch(/Name:\s+web\n/);
      expect(text).toContain(docker.sha256);
    }
    await docker.do("network", "rm", "net");
  });

  check("build: a RUN line reaches the world", async (docker) => {
    await docker.account.user.shell(`
      mkdir -p build
      printf 'FROM localhost/box\\nRUN ${fetch4} > /out\\n' > build/Dockerfile
    `);
    await docker.do("build", "--quiet", "--no-cache", "--tag", "built", "build");
    const text = await docker.do("run", "--rm", "--network=none", "built", "cat", "/out");
    expect(text).toBe(docker.sha256);
  });
}
