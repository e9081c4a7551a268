import { expect } from "vitest";
import { link, served } from "../../../lab/addresses.ts";
import { Agent } from "../../../lab/agent/client.ts";
import { fetch4, serving } from "../../engines/image.ts";
import { refusedFromHost, seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { compare } from "./comparison.ts";
import { podman6WithPesto, withoutPodman6 } from "./podman.ts";

/** Debian 13 has pasta of 2025. */
const noPesto = { why: "has no pesto in Debian 13", error: /pasta failed with exit code 1/ };

// Ports of bridge networks: podman has pesto open them in the one pasta of the user's networks.
compare(
  "podman 6 with pesto",
  podman6WithPesto,
  (check) => {
    check(
      "a published port is reached, and the container sees its clients' addresses",
      async (podman) => {
        await using _network = await podman.bridge("net");
        const port = podman.port();
        const options = ["--network=net", "-p", `${port}:80`];
        await using web = await podman.start(options, ...serving);
        expect(await seenFromWorld(podman.lab, port)).toBe(link.world);
        await seenFromHost(podman.lab, port);
        await seenFromHost(podman.lab, port, link.host);
        expect(await web.exec("sh", "-c", fetch4)).toBe(podman.sha256);
      },
      noPesto,
    );

    check(
      "two containers have two ports, and the one's ends with it",
      async (podman) => {
        await using _network = await podman.bridge("net");
        const [first, second] = [podman.port(), podman.port()];
        const start = (port: number) =>
          podman.start(["--network=net", "-p", `${port}:80`], ...serving);
        await using _stays = await start(first);
        {
          await using _goes = await start(second);
          await seenFromWorld(podman.lab, first);
          await seenFromWorld(podman.lab, second);
        }
        await refusedFromHost(podman.lab, second);
        await seenFromWorld(podman.lab, first);
        expect(await podman.helpers()).toHaveLength(1);
      },
      noPesto,
    );

    check(
      "at one address, and by UDP",
      async (podman) => {
        await using _network = await podman.bridge("net");
        const [tcp, udp] = [podman.port(), podman.port()];
        const ports = ["-p", `127.0.0.1:${tcp}:80`, "-p", `${udp}:53/udp`];
        const options = ["--network=net", ...ports];
        await using web = await podman.start(options, ...serving);
        await seenFromHost(podman.lab, tcp);
        await using agent = await Agent.start(await web.network(), podman.lab.host.stage);
        const server = await agent.udp("::", 53);
        const client = await podman.lab.world.agent.udp("0.0.0.0");
        await client.send({ address: link.host, port: udp }, "question");
        const question = await server.receive();
        expect(question.from.address).toContain(link.world);
        await server.send(question.from, "answer");
        expect((await client.receive(5_000)).from).toEqual({ address: link.host, port: udp });
        const ask = ["curl", "-sS", "-m", "5", `http://${link.host}:${tcp}/`];
        const { stderr } = await podman.lab.world.root.run(ask);
        expect(stderr).toMatch(/refused|Could ?n.t connect/);
      },
      noPesto,
    );

    check(
      "stop and start, restart and network reload",
      async (podman) => {
        await using _network = await podman.bridge("net");
        const port = podman.port();
        const options = ["--network=net", "-p", `${port}:80`];
        await using web = await podman.start(options, ...serving);
        await seenFromWorld(podman.lab, port);
        await podman.do("stop", "--time=0", web.id);
        await refusedFromHost(podman.lab, port);
        await podman.do("start", web.id);
        expect(await seenFromWorld(podman.lab, port)).toBe(link.world);
        await podman.do("restart", "--time=0", web.id);
        await seenFromWorld(podman.lab, port);
        await podman.do("network", "reload", web.id);
        await seenFromWorld(podman.lab, port);
      },
      noPesto,
    );

    check(
      "a port in use is refused, in words that name it",
      async (podman) => {
        await using _network = await podman.bridge("net");
        const { port } = (await podman.lab.host.agent.listen("0.0.0.0")).endpoint;
        const options = ["--rm", "--network=net", "-p", `0.0.0.0:${port}:80`];
        const { code, stderr } = await podman.attempt(["run", ...options, "localhost/box", "true"]);
        expect(code).not.toBe(0);
        expect(stderr).toMatch(new RegExp(`pesto.*(.|\\n)*${port}.*Address already in use`));
        await using box = await podman.start(["--network=net"], "sleep", "1000");
        expect(
          await box.exec("sh", "-c", `nc -w 5 ${served.http} 80 < /dev/null; ${fetch4}`),
        ).toContain(podman.sha256);
      },
      { ...noPesto, error: /to match/ },
    );
  },
  withoutPodman6,
);
