/**
 * An option of a command line, declared once: parser, help and the launcher's list of flags
 * (native/launcher/shared/flags.h) are made from it.
 */
export interface Option<T> {
  /** With its dashes, such as `--mtu`. */
  readonly long: string;
  /** One letter, or null. */
  readonly short: string | null;
  /** Further long names, which `--help` does not show: the spellings of other programs. */
  readonly synonyms: readonly string[];
  /** Whether `--help` leaves it out. */
  readonly isHidden: boolean;
  /** As `--help` shows its value, such as `<bytes>`, or `[seconds]` where it may be missing; null: it takes none. */
  readonly value: string | null;
  readonly help: string;
  /** As `--help` shows it; null: there is none. */
  readonly default: string | null;
  /** Whether `--name=false` means something else than to leave the option out. */
  readonly isSwitch: boolean;
  /** The heading in `--help` below which it stands, or null. */
  readonly group: string | null;
  /** The key of the option whose place it takes when it is given after that one, or null. */
  readonly replaces: string | null;
  /**
   * Its checked value.
   * @param given the texts of its values, in the order in which they were given; "" where one is missing
   * @throws UserError with exit status 2
   */
  read(given: readonly string[]): T;
}

export type Options = Readonly<Record<string, Option<unknown>>>;

/** The checked values of options, by the same keys. */
export type Values<O extends Options> = {
  readonly [Key in keyof O]: O[Key] extends Option<infer T> ? T : never;
};

/**
 * Reads one value.
 * @param name of the option or argument, for messages
 * @throws UserError with exit status 2
 */
export type Reader<T> = (text: string, name: string) => T;

/** Whether it was given. */
export function flag(flags: string, help: string): Option<boolean> {
  return { ...described(flags, help), read: (given) => given.length > 0 };
}

/** As optional(); its name alone is the value "", and another is written behind "=" only. */
export function onOff(flags: string, help: string, read: Reader<boolean>): Option<boolean | null> {
  return { ...optional(flags, help, read), isSwitch: true };
}

/** The last value, or the default, which is checked alike. */
export function value<T>(
  flags: string,
  help: string,
  read: Reader<T>,
  byDefault: string,
): Option<T> {
  const common = described(flags, help);
  return {
    ...common,
    default: byDefault,
    read: (given) => read(given.at(-1) ?? byDefault, common.long),
  };
}

/** The last value, or null. */
export function optional<T>(flags: string, help: string, read: Reader<T>): Option<T | null> {
  const common = described(flags, help);
  return {
    ...common,
    read: (given) => {
      const last = given.at(-1);
      return last === undefined ? null : read(last, common.long);
    },
  };
}

/** All values. */
export function repeated<T>(flags: string, help: string, read: Reader<T>): Option<T[]> {
  const common = described(flags, help);
  return { ...common, read: (given) => given.map((text) => read(text, common.long)) };
}

/** @param synonyms with their dashes */
export function alsoCalled<T>(option: Option<T>, ...synonyms: string[]): Option<T> {
  return { ...option, synonyms };
}

export function hidden<T>(option: Option<T>): Option<T> {
  return { ...option, isHidden: true };
}

const FLAGS = /^(?:-(\w), )?(--[\w-]+)(?: (.+))?$/;

/** @param flags such as `-m, --mtu <bytes>` */
function described(flags: string, help: string): Omit<Option<unknown>, "read"> {
  const [, short = null, long, placeholder = null] = FLAGS.exec(flags) ?? [];
  if (long === undefined) throw new Error(`an option is written like -m, --mtu <bytes>: ${flags}`);
  return {
    long,
    short,
    synonyms: [],
    isHidden: false,
    value: placeholder,
    help,
    default: null,
    isSwitch: false,
    group: null,
    replaces: null,
  };
}
