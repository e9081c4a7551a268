import { describe, expect, test } from "vitest";
import { formatAll } from "../../src/client/format.ts";

const items = [
  { Name: "web", Labels: { team: "blue" }, Internal: false },
  { Name: "back", Labels: {}, Internal: true },
];
const table = () => "the table\n";

describe("output", () => {
  test("is a table by default", () => {
    expect(formatAll(items, { json: false, format: null }, table)).toBe("the table\n");
    expect(formatAll(items, { json: false, format: "table" }, table)).toBe("the table\n");
  });

  test("is JSON with --json and --format json", () => {
    expect(JSON.parse(formatAll(items, { json: true, format: null }, table))).toEqual(items);
    expect(JSON.parse(formatAll(items, { json: false, format: "json" }, table))).toEqual(items);
  });

  test.each([
    ["{{.Name}}", "web\nback\n"],
    ["{{ .Name }}={{.Internal}}", "web=false\nback=true\n"],
    ["{{.Labels.team}}", null],
    ["{{json .Labels}}", '{"team":"blue"}\n{}\n'],
    ["{{.Labels}}", '{"team":"blue"}\n{}\n'],
    ["{{.Colour}}", null],
    ["{{.Name.length}}", null],
  ])("follows the template %s", (format, text) => {
    const show = () => formatAll(items, { json: false, format }, table);
    if (text === null) expect(show).toThrow("--format: there is no field");
    else expect(show()).toBe(text);
  });
});
