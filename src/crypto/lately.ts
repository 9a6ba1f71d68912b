/**
 * What was found of the last few texts: where that is a pure function of the text, it needs to be found once. Two generations: when the young one is
 * full it becomes the old one, and the old one is forgotten. So nothing is moved when it is looked up, and nothing is kept for ever.
 */
export class Lately<Found> {
  readonly #limit: number;
  #young = new Map<string, Found>();
  #old = new Map<string, Found>();
  #weight = 0;

  /** @param limit what a generation may weigh */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(text: string): Found | undefined {
    return this.#young.get(text) ?? this.#old.get(text);
  }

  /** @param text not a slice of a longer one, which would stay in memory as a whole: see {@link copied} */
  set(text: string, found: Found, weight = 1): void {
    if (this.#weight + weight > this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#weight = 0;
    }
    this.#young.set(text, found);
    this.#weight += weight;
  }
}

/** The same text of ASCII, in memory of its own. */
export function copied(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
