/** The plan: shell code that bin/holdfast evaluates. Words are bytes; only quoting makes them shell code. */

/** A word in single quotes, where every byte but the quote itself stands for itself. */
export function quote(word: Uint8Array | string): Buffer {
  const text = typeof word === 'string' ? word : Buffer.from(word).toString('latin1')
  const encoding = typeof word === 'string' ? 'utf8' : 'latin1'
  return Buffer.from(`'${text.replaceAll("'", "'\\''")}'`, encoding)
}

/** Builds lines of shell code: strings are code, Buffers are words to be quoted. */
export class Plan {
  readonly #parts: Buffer[] = []

  line(...parts: readonly (string | Uint8Array)[]): this {
    for (const part of parts) this.#parts.push(typeof part === 'string' ? Buffer.from(part) : quote(part))
    this.#parts.push(Buffer.from('\n'))
    return this
  }

  /** Prints text on the launcher's standard output. */
  print(text: string): this {
    return text === '' ? this : this.line("printf '%s' ", Buffer.from(text))
  }

  exit(code: number): this {
    return this.line(`exit ${code}`)
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
