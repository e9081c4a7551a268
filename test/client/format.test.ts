import { describe, expect, test } from "vitest";
import { network, say } from "./reports.ts";

const zones = { ...network, Name: "zones", Containers: {}, Labels: {}, Internal: true };

const inspected = (format: string) => say(["network", "inspect", "web", "-f", format]);
const listed = (format: string) =>
  say(["network", "ls", "--format", format], { networks: [network, zones] });

describe("without a template", () => {
  test("a list is a table", async () => {
    for (const format of ["", "table"]) {
      expect(await listed(format)).toMatch(
        /^NETWORK ID +NAME +DRIVER +SCOPE +SUBNETS +MEMBERS\n1{12} /,
      );
    }
  });

  test("json is everything", async () => {
    expect(JSON.parse(await listed("json"))).toEqual([network, zones]);
    expect(JSON.parse(await inspected("table"))).toEqual([network]);
  });
});

// What docker's and podman's documents and their users' scripts have.
describe("docker network inspect --format", () => {
  test.each([
    ["{{.Name}}", "web"],
    ["{{ .Name }}={{.Internal}}", "web=false"],
    ["{{.Id}}", "1".repeat(64)],
    ["{{range .Containers}}{{.Name}} {{end}}", "app db "],
    ["{{range .Containers}}{{.IPv4Address}}{{println}}{{end}}", "10.89.0.2/24\n10.89.0.3/24\n"],
    ["{{range $id, $c := .Containers}}{{slice $id 0 3}}={{$c.Name}};{{end}}", "aaa=app;bbb=db;"],
    ["{{len .Containers}}", "2"],
    ["{{ .Containers | len }}", "2"],
    ["{{index .IPAM.Config 0}}", "{10.89.0.0/24  10.89.0.1}"],
    ["{{(index .IPAM.Config 0).Subnet}}", "10.89.0.0/24"],
    ["{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}", "10.89.0.0/24 10.89.0.1"],
    ["{{with index .IPAM.Config 0}}{{.Gateway}}{{end}}", "10.89.0.1"],
    ["{{json .IPAM.Config}}", '[{"Subnet":"10.89.0.0/24","IPRange":"","Gateway":"10.89.0.1"}]'],
    ["{{if .Internal}}inner{{else}}outer{{end}}", "outer"],
    ["{{if eq .Driver `host`}}a{{else if eq .Driver `bridge`}}b{{else}}c{{end}}", "b"],
    ["{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "com.example.tier=front;team=blue;"],
    ['{{index .Labels "com.example.tier"}}', "front"],
    ['{{index .Labels "none"}}|{{.Labels.none}}|{{.Labels.team}}', "|<no value>|blue"],
    ["{{.Labels}}", "map[com.example.tier:front team:blue]"],
    ["{{json .Labels}}", '{"com.example.tier":"front","team":"blue"}'],
    ['{{index .Options "com.docker.network.driver.mtu"}}', "1500"],
    ["{{println .Name}}", "web\n"],
    ["{{.Name | upper}} {{title .Name}} {{lower `A`}}", "WEB Web a"],
    ['{{printf "%s" .Name}}', "web"],
    ['{{join (split .Name "e") ","}}', "w,b"],
    ["{{truncate .Id 4}}{{pad .Name 1 2}}|", "1111 web  |"],
    ["a  {{- /* no text */ -}}  b {{- .Name -}} \n c", "abwebc"],
    ["{{.Name}}\\t{{.Driver}}\\n", "web\tbridge\n"],
    ["{{$n := .Name}}{{range .Containers}}{{$n}}/{{.Name}} {{end}}", "web/app web/db "],
    ["{{range $i, $c := .IPAM.Config}}{{if $i}},{{end}}{{$c.Subnet}}{{end}}", "10.89.0.0/24"],
    ["{{$x := 1}}{{range .Containers}}{{$x = 2}}{{end}}{{$x}}", "2"],
    ["{{if and .EnableIPv4 (not .EnableIPv6)}}v4{{end}}", "v4"],
    ["{{if or .Internal (gt (len .Containers) 1)}}many{{end}}", "many"],
    ["{{if .IPAM.Options}}x{{else}}none{{end}}", "none"],
    ["{{with .ConfigFrom.Network}}{{.}}{{else with .Name}}{{.}}{{end}}", "web"],
    ["{{range .IPAM.Options}}{{.}}{{else}}no options{{end}}", "no options"],
    ['{{print "a" 1 2 "b"}}', "a1 2b"],
    ["{{.Name}} {{$.Driver}} {{(.IPAM).Driver}}", "web bridge default"],
  ])("%s", async (format, text) => {
    expect(await inspected(format)).toBe(`${text}\n`);
  });

  test("printf writes as Go does", async () => {
    expect(
      await inspected(
        '{{printf "%-6s|%8q|%03d|%5d|%t|%.2s|%x|%.1f%%" .Name .Name 7 8 true .Driver 255 0.25}}',
      ),
    ).toBe('web   |   "web"|007|    8|true|br|ff|0.3%\n');
  });

  test("{{json .}} is all of it on one line", async () => {
    const text = await inspected("{{json .}}");
    expect(text).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(text)).toMatchObject({ Name: "web", Labels: network.Labels });
  });
});

describe("docker network ls --format", () => {
  test.each([
    ["{{.ID}}: {{.Driver}}", `${"1".repeat(12)}: bridge`],
    ["{{.Name}} {{.Scope}} {{.IPv4}} {{.IPv6}} {{.Internal}}", "web local true false false"],
    ["{{.CreatedAt}}", "2026-11-30 12:00:00 +0000 UTC"],
    ["{{.Labels}}", "com.example.tier=front,team=blue"],
    ['{{.Label "team"}}{{.Label "none"}}', "blue"],
    ["{{.Id}}", "1".repeat(64)],
    ["{{len .Containers}}", "2"],
  ])("%s", async (format, text) => {
    expect((await listed(format)).split("\n")[0]).toBe(text);
  });

  test("{{json .}} has docker's fields", async () => {
    const [first] = (await listed("{{json .}}")).split("\n");
    expect(JSON.parse(first)).toMatchObject({ ID: "1".repeat(12), Name: "web", IPv6: false });
  });

  test.each([
    ["table {{.Name}}\\t{{.Driver}}", "NAME    DRIVER\nweb     bridge\nzones   bridge\n"],
    [
      'table {{.ID}}\t{{.Name | upper}}\t{{.Label "team"}}',
      "NETWORK ID     NAME    team\n111111111111   WEB     blue\n111111111111   ZONES\n",
    ],
    ["table{{.CreatedAt}}", `CREATED AT\n${"2026-11-30 12:00:00 +0000 UTC\n".repeat(2)}`],
    [
      "table {{if .Internal}}{{.Name}}{{end}}\t{{range .IPAM.Config}}{{.Subnet}}{{end}}",
      "NAME    CONFIG\n        10.89.0.0/24\nzones   10.89.0.0/24\n",
    ],
  ])("%s", async (format, text) => {
    expect(await listed(format)).toBe(text);
  });
});

describe("docker ps --format", () => {
  const shown = (format: string) => say(["ps", "--format", format]);

  test.each([
    ["{{.ID}} {{.Names}} {{.Networks}}", `${"a".repeat(12)} app web`],
    ["{{.Names}}: {{.Ports}}", "app: 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"],
    ["{{.State}}, {{.Status}}, {{.RunningFor}}", "running, Up 3 hours, 3 hours ago"],
    ['{{.Labels}} {{.Label "team"}}', "team=blue blue"],
    ["{{.name}} {{.pid}} {{len .published}}", "app 4711 2"],
    ["{{range .networks}}{{range .addresses}}{{.address}} {{end}}{{end}}", "10.89.0.2 fd00::2 "],
  ])("%s", async (format, text) => {
    expect(await shown(format)).toBe(`${text}\n`);
  });

  test("table {{.Names}}\\t{{.Status}}", async () => {
    expect(await shown("table {{.ID}}\\t{{.Names}}\\t{{.RunningFor}}")).toBe(
      "CONTAINER ID   NAMES   CREATED\naaaaaaaaaaaa   app     3 hours ago\n",
    );
  });

  test("says which fields there are instead of those of images", async () => {
    await expect(shown("{{.Image}}")).rejects.toThrow(
      "--format: there is no field Image, but ID Names CreatedAt RunningFor State Status Ports Networks",
    );
  });
});

test("labels that are meant for the terminal do not reach it", async () => {
  const label = "\u001b]0;x\u0007\u202ea\u{e0001}\tb";
  const networks = [{ ...network, Labels: { evil: label, "\u009b31m": "" } }];
  const show = (format: string) => say(["network", "inspect", "web", "-f", format], { networks });
  expect(await show("{{.Labels.evil}}")).toBe("\\u001b]0;x\\u0007\\u202ea\\udb40\\udc01\tb\n");
  expect(await show("{{range $k, $v := .Labels}}{{$k}} {{end}}")).toBe("evil \\u009b31m \n");
  expect(JSON.parse(await show("{{json .Labels}}"))).toEqual(networks[0].Labels);
  // What the user's own template has is the user's.
  expect(await show("\u001b[1m{{.Name}}")).toBe("\u001b[1mweb\n");
});

test("a template that prints without end is refused", async () => {
  const Options = Object.fromEntries(Array.from({ length: 99 }, (_, at) => [`${at}`, "x"]));
  const range = "{{range $.Options}}";
  const format = `${range.repeat(6)}${"x".repeat(4096)}${"{{end}}".repeat(6)}`;
  const networks = [{ ...network, Options }];
  await expect(say(["network", "inspect", "web", "-f", format], { networks })).rejects.toThrow(
    "--format: it prints more than 67108864 characters: --json shows all",
  );
});

describe("a template that does not fit is refused", () => {
  test.each([
    ["{{.Colour}}", "there is no field Colour, but Name Id Created"],
    ["{{.Name.length}}", "there is no field length in a text"],
    ["{{.constructor}}", "there is no field constructor"],
    ["{{.Labels.constructor.name}}", "there is no field name in nothing"],
    ["{{.__proto__}}", "there is no field __proto__"],
    ["{{index .IPAM.Config 7}}", "index 7 is not in a list of 1"],
    ["{{index .Name 0}}", "index cannot look into a text"],
    ["{{range .Name}}{{end}}", "range goes through lists and maps, not a text"],
    ["{{join .Name `,`}}", "join takes a list of texts, not a text"],
    ["{{len .Internal}}", "true or false has no length"],
    ["{{upper .Labels}}", "upper takes a text, not a map"],
    ["{{upper}}", "upper takes 1 values, not 0"],
    ["{{lt .Name 1}}", "lt cannot compare a text with a number"],
    ["{{eq .Name 1}}", "eq cannot compare a text with a number"],
    ["{{slice .Name 2 9}}", "slice 2 9 is not in a length of 3"],
    ["{{.Name 1}}", "a text takes no arguments"],
    ['{{printf "%d" .Name}}', "printf: %d cannot write a text"],
    ['{{printf "%y" .Name}}', "printf: %y is not known"],
    ['{{printf "%s"}}', "printf: there is no value for %s"],
    ['{{printf "%s" 1 2}}', 'printf: "%s" uses 1 of 2 values'],
    ['{{printf "%9999999d" 1}}', "printf: %9999999d is too wide: 1000 at most"],
    ["{{pad .Name 99999999 0}}", "pad 99999999 is too wide: 1000 at most"],
  ])("%s", async (format, sentence) => {
    await expect(inspected(format)).rejects.toThrow(sentence);
    await expect(inspected(format)).rejects.toThrow(/^--format: [^\n]+: --json shows all$/);
  });
});
