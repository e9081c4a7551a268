import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { parseCommandLine } from "../../src/commandline/command-line.ts";

const parse = (format: string) =>
  parseCommandLine("slipway", ["network", "ls", "--format", format]);

/** What is said of a wrong template. */
function refusal(format: string): string {
  try {
    parse(format);
  } catch (error) {
    if (error instanceof UserError) return `${error.exitStatus} ${error.message}`;
    throw error;
  }
  throw new Error(`${format} was accepted`);
}

describe("a template that cannot be right is refused with the command line", () => {
  test.each([
    ["{{.Name", "{{.Name is not closed: end it with }}"],
    ["{{range .Containers}}{{.Name}}", "{{range .Containers}} has no {{end}}"],
    ["{{if .Internal}}a{{else}}b", "{{if .Internal}} has no {{end}}"],
    ["{{if .Internal}}a{{else}}b{{else}}c{{end}}", "{{if .Internal}} has no {{end}}"],
    ["{{.Name}}{{end}}", "{{end}} without {{if}}, {{with}} or {{range}}"],
    ["{{else}}", "{{else}} without {{if}}, {{with}} or {{range}}"],
    ["{{}}", "{{}}: a value is missing"],
    ["{{if}}a{{end}}", "{{if}}: a value is missing"],
    ["{{.Name | }}", "{{.Name | }}: a value is missing"],
    ["{{nosuch .Name}}", "{{nosuch .Name}}: there is no function nosuch"],
    ["{{uper .Name}}", "there is no function uper (Did you mean upper?)"],
    ["{{Name}}", "a field begins with a dot, as in {{.Name}}"],
    ["{{.Labels.my-key}}", 'write {{index .Labels "my-key"}}'],
    ["{{(.Name}}", "{{(.Name}}: a ) is missing"],
    ["{{.Name)}}", '{{.Name)}}: ")" has no meaning there'],
    ["{{.Name ! 1}}", '"!" has no meaning there'],
    ["{{$x}}", "there is no variable $x"],
    ["{{range $x := .Containers}}{{end}}{{$x}}", "there is no variable $x"],
    ["{{$x = 1}}", "there is no variable $x"],
    ["{{$a, $b := .Labels}}", "it cannot set $a,$b there"],
    ["{{.Name | 1}}", "1 takes no arguments"],
    ['{{"a" .Name}}', '"a" takes no arguments'],
    ['{{"\\z"}}', "is not a text: escape"],
    ["{{end x}}", "{{end x}} without"],
    ["{{if .Internal}}{{end x}}", '{{end x}}: "x" has no meaning there'],
    ["{{define `x`}}{{end}}", "{{define}} is not known here"],
    ["{{template `x`}}", "{{template}} is not known here"],
    ["{{range .Containers}}{{break}}{{end}}", "{{break}} is not known here"],
    ["yaml", '"yaml" shows nothing: write a template such as {{.Name}}, json or table'],
    ["table Name", '"table Name" shows nothing'],
    [`${"{{if .Internal}}".repeat(200)}`, "it is nested too deeply"],
    [`{{${"(".repeat(200)}.Name${")".repeat(200)}}}`, "it is nested too deeply"],
    ["x".repeat(65_537), "a template has 65536 characters at most"],
  ])("%s", (format, sentence) => {
    const said = refusal(format);
    expect(said).toContain(sentence);
    expect(said).toMatch(/^2 --format: [^\n]+; --json shows all; see slipway network ls --help$/);
  });
});

test("a template is parsed in time proportional to its length", () => {
  for (const part of ["{{", "{{.", "{{(", '{{"', "{{/*", "{{- ", "{{`", "}}", " -}}", "{{.A}}"]) {
    try {
      parse(part.repeat(Math.floor(65_536 / part.length)));
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
    }
  }
});
