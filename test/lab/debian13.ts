import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./product.ts";

const { status, stdout } = spawnSync(join(root, "scripts/debian13"), ["--path"], {
  encoding: "utf8",
});

/** The root of a Debian 13 that scripts/debian13 has made, for {@link Account.create}; null: there is none. */
export const debian13 = status === 0 ? stdout.trim() : null;
