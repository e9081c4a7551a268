import { describe, expect, test } from "vitest";
import { member, network, say } from "./reports.ts";

const second = {
  ...member.networks[0],
  network: "back",
  networkId: "5".repeat(64),
  addresses: [{ address: "10.89.1.9", subnet: "10.89.1.0/24", gateway: "10.89.1.1" }],
};
const both = {
  ...member,
  name: "both",
  id: "c".repeat(64),
  networks: [...member.networks, second],
};

const shown = (format: string, ...names: string[]) =>
  say(["inspect", "-f", format, ...names], { members: [member, both] });

// What docker's documents and their users' scripts have.
describe("docker inspect --format", () => {
  test.each([
    ["{{.Name}}", "/app"],
    ["{{.Id}}", "a".repeat(64)],
    ["{{.State.Pid}} {{.State.Running}} {{.State.Status}}", "4711 true running"],
    ["{{.Config.Hostname}}", "box"],
    ['{{index .Config.Labels "team"}}{{.Config.Labels}}', "bluemap[team:blue]"],
    ["{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "10.89.0.2"],
    ["{{.NetworkSettings.Networks.web.IPAddress}}", "10.89.0.2"],
    ['{{(index .NetworkSettings.Networks "web").MacAddress}}', "02:42:0a:59:00:02"],
    ["{{.NetworkSettings.IPAddress}}/{{.NetworkSettings.IPPrefixLen}}", "10.89.0.2/24"],
    [
      "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}/{{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}{{end}}",
      "fd00::2/64 fd00::1",
    ],
    ["{{range .NetworkSettings.Networks}}{{.Aliases}} {{.Gateway}}{{end}}", "[api] 10.89.0.1"],
    [
      "{{range .NetworkSettings.Networks}}{{json .DNSNames}}{{end}}",
      '["app","api","aaaaaaaaaaaa"]',
    ],
    ['{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"],
    [
      "{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{(index $conf 0).HostPort}} {{end}}",
      " 80/tcp -> 8080 ",
    ],
    [
      '{{range index .NetworkSettings.Ports "80/tcp"}}{{.HostIp}}:{{.HostPort}}{{"\\n"}}{{end}}',
      "0.0.0.0:8080\n:::8080\n",
    ],
    ['{{if index .NetworkSettings.Ports "81/tcp"}}yes{{else}}no{{end}}', "no"],
    ["{{.HostConfig.NetworkMode}} {{len .HostConfig.PortBindings}}", "web 1"],
    ["{{json .NetworkSettings.Ports}}", null],
  ])("%s", async (format, text) => {
    const said = await shown(format, "app");
    if (text === null) expect(JSON.parse(said)).toHaveProperty(["80/tcp", 0, "HostPort"], "8080");
    else expect(said).toBe(`${text}\n`);
  });

  test("of the name that it prints", async () => {
    expect(await shown("{{.Id}}", "/app")).toBe(`${"a".repeat(64)}\n`);
  });

  test("of several, and of networks", async () => {
    const template =
      "{{.Name}}{{range $k, $v := .NetworkSettings.Networks}} {{$k}}={{$v.IPAddress}}{{end}}";
    expect(await shown(template, "app", "both")).toBe(
      "/app web=10.89.0.2\n/both back=10.89.1.9 web=10.89.0.2\n",
    );
    expect(await shown("{{.Id}}", "web", "both")).toBe(`${network.Id}\n${both.id}\n`);
    const members = [{ ...member, name: "web" }];
    expect(await say(["inspect", "-f", "{{.Name}}", "web"], { members })).toBe("/web\n");
    expect(await say(["inspect", "--type=network", "-f", "{{.Name}}", "web"], { members })).toBe(
      "web\n",
    );
  });

  test("a member without addresses, ports or process", async () => {
    const bare = { ...member, pid: null, netns: null, networks: [], published: [] };
    const [report] = JSON.parse(await say(["inspect", "app"], { members: [bare] }));
    expect(report).toMatchObject({
      State: { Pid: 0 },
      HostConfig: { NetworkMode: "none", PortBindings: {} },
      NetworkSettings: { IPAddress: "", Ports: {}, Networks: {} },
    });
  });

  test("what it does not have is refused", async () => {
    await expect(shown("{{.Mounts}}", "app")).rejects.toThrow(
      "--format: there is no field Mounts, but Id Created Name State Config HostConfig NetworkSettings",
    );
    await expect(shown("{{.NetworkSettings.Networks.nope.IPAddress}}", "app")).rejects.toThrow(
      "there is no field IPAddress in nothing",
    );
  });
});
