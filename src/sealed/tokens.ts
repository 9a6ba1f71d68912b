import { type Sealer, sealName } from "../crypto/seal.ts";
import { copied, TwoGenerationCache } from "../crypto/token.ts";
import { asSealed, decodeSealed, encodeOverflow, encodeSealed, type Sealed } from "./record.ts";

/** What a token held. Whether it is a session still is for its times, and for the stores, to say. */
export interface Unsealed {
  readonly sealed: Sealed;
  /** Whether another key than the first sealed it. */
  readonly outdated: boolean;
}

/** Characters of tokens and of what is in them, twice at most: some thousand small sessions. */
const REMEMBERED = 2 * 1_024 * 1_024;

/**
 * The tokens of sealed sessions, of one name. What was opened, or sealed, lately is remembered: a visitor brings the same token page after page, and
 * what is in it is a pure function of its text.
 */
export class SealedTokens {
  readonly #sealer: Sealer;
  /**
   * By a part of the token: a hash of all of it would cost more than what is done with it. That part is 186 random bits, so whoever gets as
   * far as the comparison of the whole has the whole.
   */
  readonly #opened = new TwoGenerationCache<{ readonly text: string; readonly unsealed: Unsealed }>(REMEMBERED);

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  open(text: string): Unsealed | undefined {
    const known = this.#opened.get(sealName(text));
    if (known?.text === text) return known.unsealed;
    const unsealed = this.#sealer.open(text);
    const sealed = unsealed === undefined ? undefined : decodeSealed(unsealed.body);
    if (unsealed === undefined || sealed === undefined) return undefined;
    const found = { sealed, outdated: unsealed.outdated };
    this.#remember(copied(text), found);
    return found;
  }

  seal({ handle, record, overflowKey }: Sealed): string {
    const body = overflowKey === undefined ? encodeSealed(handle, record) : encodeOverflow(handle, record, overflowKey);
    const text = this.#sealer.seal(body);
    this.#remember(text, { sealed: asSealed(handle, record, overflowKey), outdated: false });
    return text;
  }

  #remember(text: string, unsealed: Unsealed): void {
    this.#opened.set(sealName(text), { text, unsealed }, text.length + unsealed.sealed.record.payload.length);
  }
}
