/** The functions that templates may call: Go's text/template, and docker's (https://docs.docker.com/engine/cli/formatting/). */
export const FUNCTIONS = [
  "and",
  "or",
  "not",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "len",
  "index",
  "slice",
  "print",
  "printf",
  "println",
  "json",
  "join",
  "split",
  "lower",
  "upper",
  "title",
  "pad",
  "truncate",
] as const;

export type FunctionName = (typeof FUNCTIONS)[number];

export type Literal = string | number | boolean | null;

/** A value, or what has one. */
export type Operand =
  | { readonly kind: "literal"; readonly value: Literal }
  /** `.A.B`, `$x.A` or `(…).A`; a path may be empty. */
  | { readonly kind: "field"; readonly of: Base; readonly path: readonly string[] }
  | { readonly kind: "function"; readonly name: FunctionName };

/** `variable`: `$` is the item that the template is for. */
export type Base =
  | { readonly kind: "dot" }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "pipeline"; readonly pipeline: Pipeline };

/** A function or a field with its arguments, or a value alone. */
export interface Call {
  readonly head: Operand;
  readonly args: readonly Operand[];
}

/** Calls, each of which takes the result of the one before as its last argument. */
export interface Pipeline {
  /** The variables that take its value; with `range` the index, or key, and the element. */
  readonly variables: readonly string[];
  /** Whether they are new (`:=`) or were there before (`=`). */
  readonly declares: boolean;
  readonly calls: readonly Call[];
}

export interface Block {
  readonly kind: "if" | "with" | "range";
  readonly pipeline: Pipeline;
  readonly body: Template;
  readonly otherwise: Template;
}

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | Block;

/** A parsed template. */
export type Template = readonly Node[];
