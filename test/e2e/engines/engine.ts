import type { Account } from "../../lab/account.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Engine, Helper } from "../comparison.ts";

/** An engine of an account, whose checks publish ports. */
export abstract class AccountEngine implements Engine {
  readonly account: Account;
  readonly helper: Helper;
  #nextPort: number;

  protected constructor(account: Account, helper: Helper) {
    this.account = account;
    this.helper = helper;
    this.#nextPort = helper.firstPort;
  }

  get lab(): Lab {
    return this.account.lab;
  }

  /** A port of the host that no other check uses. */
  port(): number {
    this.#nextPort += 1;
    return this.#nextPort;
  }

  abstract close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
