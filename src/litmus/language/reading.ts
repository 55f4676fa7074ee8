/** The words of one line, taken one after the other; every complaint says where, what and why. */

export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'

  constructor(lineNumber: number | null, line: string, why: string) {
    super(lineNumber === null ? why : `line ${lineNumber}: '${line}': ${why}`)
  }
}

export class Words {
  readonly #number: number
  readonly #line: string
  readonly #words: string[]

  constructor(number: number, line: string) {
    this.#number = number
    this.#line = line
    this.#words = line.split(/\s+/)
  }

  fail(why: string): never {
    throw new ScenarioError(this.#number, this.#line, why)
  }

  peek(ahead = 0): string | null {
    return this.#words[ahead] ?? null
  }

  next(what: string): string {
    return this.#words.shift() ?? this.fail(`${what} is missing at its end`)
  }

  expect(word: string): void {
    const found = this.next(`'${word}'`)
    if (found !== word) this.fail(`'${word}' has to stand where '${found}' does`)
  }

  /** Takes the next word if it is this one. */
  accept(word: string): boolean {
    if (this.peek() !== word) return false
    this.#words.shift()
    return true
  }

  oneOf<Word extends string>(choices: readonly Word[]): Word {
    const word = this.next(choices.join(' or '))
    return choices.find((choice) => choice === word) ?? this.fail(`'${word}' is not ${choices.join(' or ')}`)
  }

  count(what: string): number {
    const word = this.next(what)
    return /^\d{1,15}$/.test(word) ? Number(word) : this.fail(`'${word}' is not ${what}: a whole number`)
  }

  octal(): number {
    const word = this.next('permission bits')
    return /^[0-7]{3,4}$/.test(word) ? Number.parseInt(word, 8) : this.fail(`'${word}' is no mode, as 644 is`)
  }

  rest(what: string): string {
    if (this.#words.length === 0) this.fail(`${what} is missing at its end`)
    return this.#words.splice(0).join(' ')
  }

  end(): void {
    const [word] = this.#words
    if (word !== undefined) this.fail(`'${word}' is one word too many`)
  }
}
