import { link } from "../../../lab/addresses.ts";
import { expect, test } from "../../fixture.ts";
import { FOLLOWED, Forwarded, listening } from "./forwarded.ts";

test("-t auto and -u auto follow what listens in the guest, at the same numbers", async ({
  lab,
}) => {
  await using guest = await Forwarded.start(lab, ["-t", "auto", "-u", "auto"]);
  const before = guest.openDescriptors;
  const server = await guest.agent.listen("0.0.0.0", 8401);
  const udp = await guest.agent.udp("::", 8402);
  const outside = () => listening(lab.host.user);
  await expect.poll(outside, FOLLOWED).toContain("tcp *:8401");
  await expect.poll(outside, FOLLOWED).toContain("udp *:8402");
  // As in pasta: UDP follows TCP, too.
  expect(await outside()).toContain("udp *:8401");
  await using _client = await lab.world.agent.connect({ address: link.host, port: 8401 });
  expect((await server.accept()).client.address).toBe(link.world);
  await server.close();
  await udp.close();
  const own = async () => (await outside()).filter((each) => / \*:840[12]$/.test(each));
  await expect.poll(own, FOLLOWED).toEqual([]);
  expect(guest.openDescriptors).toBeLessThan(before + 5);
});

test("exclusions, and ports that the host has in use, are left alone", async ({ lab }) => {
  await using taken = await lab.host.agent.listen("127.0.0.1", 8412);
  await using guest = await Forwarded.start(lab, ["-t", "auto,~8411", "-u", "none"]);
  for (const port of [8411, 8412, 8413]) await guest.agent.listen("0.0.0.0", port);
  const own = async () => (await listening(lab.host.user)).filter((each) => /:841\d$/.test(each));
  await expect.poll(own, FOLLOWED).toContain("tcp *:8413");
  expect(await own()).toEqual(["tcp *:8413", "tcp 127.0.0.1:8412"]);
  await taken.close();
  await expect.poll(own, FOLLOWED).toEqual(["tcp *:8412", "tcp *:8413"]);
});

test("both directions do not follow each other", async ({ lab }) => {
  const server = await lab.host.agent.listen("127.0.0.1", 8421);
  await using guest = await Forwarded.start(lab, ["-t", "auto", "-T", "auto"]);
  const inside = () => listening(guest.namespace);
  await expect.poll(inside, FOLLOWED).toContain("tcp 127.0.0.1:8421");
  const own = async () => (await listening(lab.host.user)).filter((each) => /:842\d$/.test(each));
  // What has come in by then would be followed in its turn.
  const other = await guest.agent.listen("0.0.0.0", 8422);
  await expect.poll(own, FOLLOWED).toContain("tcp *:8422");
  await server.close();
  await expect.poll(inside, FOLLOWED).toEqual(["tcp 0.0.0.0:8422"]);
  await other.close();
  await expect.poll(own, FOLLOWED).toEqual([]);
});

test("a guest that listens on thousands of ports gets 1,024 of them, and others are served meanwhile", async ({
  lab,
}) => {
  await using guest = await Forwarded.start(lab, ["-t", "auto,~8431", "-t", "8431"]);
  await guest.agent.echo("0.0.0.0", 8431);
  const flood = guest.namespace.spawn([
    "python3",
    "-c",
    `import resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
all = []
for port in range(10000, 13000):
    each = socket.socket()
    each.bind(("0.0.0.0", port))
    each.listen()
    all.append(each)
print("listening", flush=True)
time.sleep(600)`,
  ]);
  await flood.printed(/listening/);
  const own = async () =>
    (await listening(lab.host.user)).filter((each) => /^tcp \*:1[012]\d{3}$/.test(each)).length;
  await expect.poll(own, FOLLOWED).toBe(1_024);
  await using client = await lab.world.agent.connect({ address: link.host, port: 8431 });
  await client.write("x");
  expect(await client.read(1)).toBe("x");
  flood.kill("SIGKILL");
  await expect.poll(own, FOLLOWED).toBe(0);
});
