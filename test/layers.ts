import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/**
 * The layers of src/, lowest first. A unit is a folder; one that is named here with a slash is a unit of its own,
 * apart from the folder it lies in. Units of one layer do not import each other.
 */
export const LAYERS: readonly (readonly string[])[] = [
  ["base"],
  ["config"],
  ["wire", "sys", "stack", "rpc"],
  ["commandline", "nat", "admission"],
  ["engine"],
  ["netns", "frames", "services", "dns", "network", "store", "wireguard"],
  ["tcp", "datagram", "cluster", "overlay"],
  ["publish/loopback"],
  ["publish"],
  ["guest"],
  ["loop"],
  ["api", "client"],
  ["host"],
  ["daemon/workers"],
  ["daemon"],
  ["daemon/shared"],
  ["integrations"],
  ["cli"],
];

/** Packages that one unit alone may import. */
const OWNERS: Readonly<Record<string, string>> = { "node-tuntap2": "sys", "lwip-wasm": "stack" };

/** Outside src/ modules may import this alone: it knows the version. */
const MANIFEST = "../package.json";

/** What a module imports, by the module's path below src/: paths below src/, or package names. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** The imports of all modules below `root`, type imports included. */
export function readImports(root: string): Imports {
  const modules = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  return new Map(
    modules.map((module) => [module, importsOf(module, readFileSync(`${root}/${module}`, "utf8"))]),
  );
}

/** What the text of a module imports. */
export function importsOf(module: string, text: string): string[] {
  const statements =
    /^(?:import|export)\s(?:[^;"']*?\sfrom\s)?\s*["']([^"']+)["']|\b(?:import|require)\(\s*["']([^"']+)["']/gm;
  return [...text.matchAll(statements)].map(([, statement, call]) =>
    resolved(module, statement ?? call),
  );
}

function resolved(module: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return posix.join(posix.dirname(module), specifier).replace(/\.js$/, ".ts");
}

/** Every import that breaks a rule, and every circle, as sentences. */
export function findBreaches(imports: Imports): string[] {
  const edges = [...imports].flatMap(([module, targets]) =>
    targets.map((target): [string, string] => [module, target]),
  );
  const breaches = edges.flatMap(([module, target]) => breach(module, target) ?? []);
  return [...unplaced(imports), ...breaches, ...findCircles(imports)];
}

function unplaced(imports: Imports): string[] {
  const units = new Set([...imports.keys()].map(unitOf));
  return [...units].filter((unit) => layerOf(unit) < 0).map((unit) => `${unit} has no layer`);
}

function breach(module: string, target: string): string | null {
  const unit = unitOf(module);
  const owner = OWNERS[packageOf(target)];
  if (owner !== undefined) {
    return owner === unit ? null : `${module} imports ${target}, which is for ${owner} alone`;
  }
  const from = layerOf(unit);
  const to = layerOf(unitOf(target));
  if (target.startsWith("..") && target !== MANIFEST)
    return `${module} imports ${target}, outside src`;
  if (to < 0) return null;
  if (unit === unitOf(target) || to < from) return null;
  return `${module} imports ${target}, ${to === from ? "sideways" : "upwards"}`;
}

/** The circles that a depth-first walk meets, each as a chain of modules. */
export function findCircles(imports: Imports): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (module: string, path: readonly string[]): void => {
    const start = path.indexOf(module);
    if (start >= 0) {
      found.push(`circle: ${[...path.slice(start), module].join(" → ")}`);
      return;
    }
    if (done.has(module)) return;
    for (const target of imports.get(module) ?? []) visit(target, [...path, module]);
    done.add(module);
  };
  for (const module of imports.keys()) visit(module, []);
  return found;
}

/** The longest folder with a layer that a path below src/ lies in; without one, its first part. */
function unitOf(path: string): string {
  const [first, second] = path.split("/");
  const nested = `${first}/${second}`;
  return layerOf(nested) >= 0 ? nested : first;
}

function packageOf(specifier: string): string {
  return specifier.split("/")[0];
}

function layerOf(unit: string): number {
  return LAYERS.findIndex((units) => units.includes(unit));
}
