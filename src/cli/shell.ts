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

  /**
   * Prints text on the launcher's standard output. In a shell of its own, because a shell that could not write
   * complains in its own words, and tries again at its end.
   * @param lostExit what the launcher ends with if that cannot be written to.
   */
  print(text: string | Buffer, lostExit = 1): this {
    if (text.length === 0) return this
    const lost = `echo 'holdfast: standard output cannot be written to: is the disk full?' >&2; exit ${lostExit}`
    // 141 is SIGPIPE: whoever read has enough of it, as `head` does.
    const otherwise = ` ) 2>/dev/null || case $? in 141) exit 141 ;; *) ${lost} ;; esac`
    return this.line("( printf '%s' ", typeof text === 'string' ? Buffer.from(text) : text, otherwise)
  }

  exit(code: number): this {
    return this.line(`exit ${code}`)
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
