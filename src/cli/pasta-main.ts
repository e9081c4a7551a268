import { print } from "../base/stdio.js";
import { isProgramOfPasta, parsePasta } from "../commandline/pasta/command-line.js";
import { runProgram } from "./program.js";

/*
 * The program of pasta, passt and pesto. It is one of its own as it has neither the commands of slipway nor their options:
 * reading their code would cost each start 2.7 ms.
 */

void runProgram(async (name, args) => {
  if (!isProgramOfPasta(name))
    throw new Error(`dist/slipway.cjs starts another program for ${name}`);
  const invocation = parsePasta(name, args);
  switch (invocation.kind) {
    case "print":
      print(invocation.text);
      return;
    case "pasta":
      return (await import("./pasta/pasta.js")).pasta(invocation.config);
    case "pesto":
      return (await import("./pasta/pesto.js")).pesto(invocation.request);
  }
});
