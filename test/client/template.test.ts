import fc from "fast-check";
import { expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { say } from "./reports.ts";

/** Parts of templates, right and wrong. */
const PARTS = [
  "{{",
  "}}",
  "{{- ",
  " -}}",
  "{{end}}",
  "{{else}}",
  "{{else if .Internal}}",
  "{{range .Containers}}",
  "{{range $k, $v := .Labels}}",
  "{{range $i, $c := .IPAM.Config}}",
  "{{with index .IPAM.Config 0}}",
  "{{if .EnableIPv4}}",
  "{{.Name}}",
  "{{.}}",
  "{{$}}",
  "{{$v}}",
  "{{$x := .Name}}",
  "{{json .}}",
  "{{.Name | printf `%9q`}}",
  "{{len (index .Labels `team`)}}",
  "{{(index .IPAM.Config 0).Subnet}}",
  "{{eq .Driver `bridge` `host`}}",
  "{{index . `__proto__`}}",
  "{{.constructor}}",
  "{{/* c */}}",
  "(",
  ")",
  "|",
  ".",
  "$",
  " ",
  "text",
  '"',
  "`",
  "len",
  "and",
  "slice",
  "1",
  "-1",
  "1e9",
  ":=",
  "=",
  ",",
  "\\n",
] as const;

/** What a message says when its author has not thought of a value. */
const SLIP = /undefined|NaN|\[object/;

test("any text is a template, or is refused in one line", async () => {
  const text = fc
    .array(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...PARTS) }, fc.string()), {
      maxLength: 30,
    })
    .map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(text, async (format) => {
      // The message quotes it: fast-check may have written such a word itself.
      fc.pre(!SLIP.test(format));
      try {
        expect(typeof (await say(["network", "inspect", "web", `--format=${format}`]))).toBe(
          "string",
        );
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.message).toMatch(/^--format: .*--json shows all/);
        expect(error.message).not.toMatch(/\n/);
        expect(error.message).not.toMatch(SLIP);
      }
    }),
    { numRuns: 3000 },
  );
});
