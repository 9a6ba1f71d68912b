import { type Sealer, sealName } from "../crypto/seal.ts";
import { copied, TwoGenerationCache } from "../crypto/token.ts";
import { asSealed, decodeSealed, encodeOverflow, encodeSealed, type Sealed } from "./record.ts";

/** The content of a token. Its times and the stores decide whether it is still a session. */
export interface Unsealed {
  readonly sealed: Sealed;
  /** Whether an older key sealed it. */
  readonly outdated: boolean;
}

/** The weight of a cache generation, in characters: some thousand small sessions. */
const REMEMBERED = 2 * 1_024 * 1_024;

/**
 * Opens and seals the tokens of one name. Caches the results, because a visitor brings the same
 * token page after page, and a token's content is a pure function of its text.
 */
export class SealedTokens {
  readonly #sealer: Sealer;
  /**
   * Keyed by a part of the token, because hashing the whole costs more than a lookup saves. The
   * part has 186 random bits, so a match reveals nothing to a client that lacks the token.
   */
  #opened = new TwoGenerationCache<{ readonly text: string; readonly unsealed: Unsealed }>(REMEMBERED);

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
    sealer.onReplace(() => {
      this.#opened = new TwoGenerationCache(REMEMBERED);
    });
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
