/** Lists that come in pages, asked for as they are needed. */
import { callJson } from "./call.js";
import { UnexpectedAnswer } from "./errors.js";
import type { Transport } from "./transport.js";
import type { Page } from "./types.js";

/** `for await` gives every item; `pages()` gives the pages. */
export class Listing<T> implements AsyncIterable<T> {
  readonly #pages: () => AsyncGenerator<Page<T>, void, undefined>;

  /** Made by the client. */
  constructor(pages: () => AsyncGenerator<Page<T>, void, undefined>) {
    this.#pages = pages;
  }

  /** Page by page; each is asked for when the one before is used up. */
  pages(): AsyncGenerator<Page<T>, void, undefined> {
    return this.#pages();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.#pages()) yield* page.items;
  }
}

/** The list at this path, each item converted. */
export function listing<Raw, T>(
  transport: Transport,
  path: string,
  query: object,
  convert: (item: Raw) => T,
  signal: AbortSignal | undefined,
): Listing<T> {
  return new Listing(async function* () {
    for (let cursor: string | null = null; ;) {
      const request = { method: "GET", path, query: { ...query, cursor } } as const;
      const page: Page<Raw> = await callJson<Page<Raw>>(transport, request, signal);
      if (!Array.isArray(page.items))
        throw new UnexpectedAnswer(`${path} did not answer with a page of items`);
      yield { ...page, items: page.items.map(convert) };
      if (!page.has_more || !page.next_cursor || page.next_cursor === cursor) return;
      cursor = page.next_cursor;
    }
  });
}
