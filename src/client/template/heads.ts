import type { Call, Node, Operand, Pipeline, Template } from "../../commandline/template/syntax.js";

/** The heads of columns by the fields that they show, where they are not the field's own words. */
export type Heads = Readonly<Record<string, string>>;

/** The first line of `table TEMPLATE`: the template with the names of the fields in place of their values. */
export function headsOf(template: Template, heads: Heads): string {
  return template.map((node) => headOf(node, heads)).join("");
}

function headOf(node: Node, heads: Heads): string {
  switch (node.kind) {
    case "text":
      return node.text;
    case "print":
      return node.pipeline.variables.length > 0 ? "" : headOfPipeline(node.pipeline, heads);
    case "if":
      return headsOf(node.body, heads);
    case "with":
    case "range":
      return headOfPipeline(node.pipeline, heads);
  }
}

function headOfPipeline({ calls }: Pipeline, heads: Heads): string {
  return calls.map((call) => headOfCall(call, heads)).find((head) => head !== "") ?? "";
}

function headOfCall({ head, args }: Call, heads: Heads): string {
  const [first] = args;
  // {{.Label "team"}} is headed by the label's name, as in docker.
  if (head.kind === "field" && first?.kind === "literal") return String(first.value);
  return (
    [head, ...args].map((each) => headOfOperand(each, heads)).find((text) => text !== "") ?? ""
  );
}

function headOfOperand(operand: Operand, heads: Heads): string {
  if (operand.kind !== "field") return "";
  const name = operand.path.at(-1);
  if (name !== undefined) return heads[name] ?? wordsOf(name);
  return operand.of.kind === "pipeline" ? headOfPipeline(operand.of.pipeline, heads) : "";
}

/** CreatedAt: CREATED AT */
function wordsOf(field: string): string {
  return field.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toUpperCase();
}
