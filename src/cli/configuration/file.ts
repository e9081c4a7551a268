import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import * as v from "valibot";
import { errnoOf, UserError } from "../../base/errors.js";
import { quoted } from "../../base/printable.js";
import {
  absoluteSettings,
  checkSetting,
  type DaemonSettings,
  SETTING_NAMES,
  type SettingName,
} from "../../commandline/daemon-settings.js";
import { sentenceOf, wholeNumber } from "../../rpc/issue.js";

/** What the configuration file says. */
export interface Configuration {
  readonly servesContainers: boolean;
  readonly settings: DaemonSettings;
}

/** Longest file that is read, in bytes. */
const MOST_BYTES = 1 << 16;

export const NOTHING: Configuration = { servesContainers: false, settings: {} };

const word = v.string();
const words = v.union(
  [word, v.pipe(v.array(word), v.minLength(1))],
  "must be text, or a list of texts",
);
const port = wholeNumber(1, 65_535);

/** By the names of the options. */
const schema = v.strictObject(
  v.entriesFromObjects([
    v.object({ "serve-containers": v.optional(v.boolean()) }),
    v.partial(
      v.object({
        store: word,
        "store-ca": word,
        "store-cert": word,
        "store-key": word,
        "store-user": word,
        "store-password": word,
        "store-prefix": word,
        advertise: words,
        listen: words,
        "vxlan-port": port,
        "wireguard-port": port,
      } satisfies Readonly<Record<SettingName, unknown>>),
    ),
  ]),
);

/**
 * Reads the daemon's configuration file. One that is missing says nothing.
 * @param file its path
 * @throws UserError with the file, and the line or the key that is wrong
 */
export async function readConfiguration(file: string): Promise<Configuration> {
  const text = textOf(file);
  if (text === null) return NOTHING;
  const { "serve-containers": servesContainers = false, ...given } = checked(
    await parse(text, file),
    file,
  );
  const settings = SETTING_NAMES.flatMap((name) => {
    const value = given[name];
    return value === undefined ? [] : [[name, [value].flat().map(String)] as const];
  });
  for (const [name, texts] of settings) {
    for (const each of texts) checkOf(file, name, each);
  }
  return {
    servesContainers,
    settings: absoluteSettings(Object.fromEntries(settings), path.dirname(file)),
  };
}

function textOf(file: string): string | null {
  try {
    const status = statSync(file);
    if (!status.isFile())
      throw new UserError(`${file} is not a file: write the configuration there`);
    if (status.size > MOST_BYTES) {
      throw new UserError(
        `${file} is larger than ${MOST_BYTES} bytes: write the configuration only`,
      );
    }
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${file} (${code}): chown it to you, or move it away`);
  }
}

async function parse(text: string, file: string): Promise<unknown> {
  // Only a daemon with such a file needs the parser.
  const { parse: parseToml, TomlError } = await import("smol-toml");
  try {
    return parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Behind the first line it quotes the text, in which there may be a password.
    const [what = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new UserError(`${file}, line ${error.line}, is not TOML: ${what}`);
  }
}

function checked(value: unknown, file: string): v.InferOutput<typeof schema> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const key = v.getDotPath(issue) ?? "";
  if (issue.type !== "strict_object") throw new UserError(`${file}: ${sentenceOf(issue, "it")}`);
  const names = ["serve-containers", ...SETTING_NAMES].join(", ");
  throw new UserError(`${file}: there is no setting ${quoted(key)}: there are ${names}`);
}

/** As a wrong option is told, by the name of the key. */
function checkOf(file: string, name: SettingName, text: string): void {
  try {
    checkSetting(name, text, name);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${file}: ${error.message}`);
    throw error;
  }
}
