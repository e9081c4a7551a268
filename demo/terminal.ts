import { stdout } from "node:process";
import { styleText } from "node:util";

const interactive = stdout.isTTY === true;

type Style = Parameters<typeof styleText>[0];

/** The text in a style, if the output is a terminal that accepts colours (NO_COLOR). */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: stdout });
}

export function print(line = ""): void {
  stdout.write(`${line}\n`);
}

/** A heading with a line of explanation. */
export function heading(title: string, explanation: string): void {
  print();
  print(`${styled("bold", title)}  ${styled("dim", explanation)}`);
}

/** One fact: its name and its value. */
export function fact(name: string, value: string, note = ""): void {
  print(`  ${styled("cyan", name.padEnd(18))}${value}${note && `  ${styled("dim", note)}`}`);
}

/** A progress bar that is redrawn on a terminal; elsewhere it prints a line at each quarter. */
export class Progress {
  readonly #total: number;
  readonly #started = performance.now();
  #quarters = 0;

  /** @param total in bytes */
  constructor(total: number) {
    this.#total = total;
  }

  show(bytes: number): void {
    if (interactive) {
      stdout.write(`\r\x1b[K  ${this.#bar(bytes)}${this.#figures(bytes)}`);
      return;
    }
    const quarters = Math.floor((4 * bytes) / this.#total);
    if (quarters > this.#quarters) print(`  ${this.#figures(bytes)}`);
    this.#quarters = Math.max(quarters, this.#quarters);
  }

  /** The last state stays on the screen. */
  finish(): void {
    this.show(this.#total);
    if (interactive) print();
  }

  #bar(bytes: number): string {
    const width = Math.max(10, Math.min(40, stdout.columns - 36));
    const filled = Math.round((width * bytes) / this.#total);
    const done = styled("green", "█".repeat(filled));
    const open = styled("dim", "░".repeat(width - filled));
    return `${done}${open}  `;
  }

  #figures(bytes: number): string {
    const seconds = (performance.now() - this.#started) / 1000;
    const percent = `${Math.floor((100 * bytes) / this.#total)} %`;
    return `${percent.padStart(5)}  ${megabytes(bytes).padStart(9)}  ${rate(bytes, seconds)}`;
  }
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function rate(bytes: number, seconds: number): string {
  return `${((8 * bytes) / seconds / 1e9).toFixed(2)} Gbit/s`;
}
