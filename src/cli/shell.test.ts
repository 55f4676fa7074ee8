import { describe, expect, test } from 'vitest'
import { testDirectory } from '../linux/test-directory.js'
import { Plan, quote } from './shell.js'
import { evaluate, SHELLS } from './test-shells.js'

const directory = testDirectory()
const ALL_BYTES = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1))

/** What the shell makes of words: each one back, in brackets. */
function echo(words: readonly Uint8Array[]): Buffer {
  return new Plan().line("printf '[%s]' ", ...words.flatMap((word) => [word, ' '])).exit(0).bytes
}

const brackets = (words: readonly Uint8Array[]) =>
  Buffer.concat(words.flatMap((word) => [Buffer.from('['), word, Buffer.from(']')]))

describe.each(SHELLS)('a word in $name', (shell) => {
  for (const locale of ['C', 'C.UTF-8']) {
    const env = { LC_ALL: locale }

    test(`each byte from 1 to 255 stands for itself (${locale})`, () => {
      const words = [...ALL_BYTES].map((byte) => Buffer.from([byte]))
      expect(evaluate(shell, echo(words), directory, [], env).stdout).toEqual(brackets(words))
    })

    test(`all bytes in one word, in either order, and pairs that a shell might join (${locale})`, () => {
      const words = [
        ALL_BYTES,
        Buffer.from(ALL_BYTES).reverse(),
        Buffer.from([0x01, 0x01, 0x7f, 0x01, 0x7f, 0x7f]),
        Buffer.from([0x81, 0x27, 0x88, 0x27, 0x27, 0x82]),
        Buffer.from("''"),
        Buffer.from("\\'"),
        Buffer.from('größe 漢字 \u{1f600}'),
      ]
      expect(evaluate(shell, echo(words), directory, [], env).stdout).toEqual(brackets(words))
    })
  }

  test('an empty word is a word', () => {
    expect(evaluate(shell, echo([Buffer.alloc(0)]), directory).stdout.toString()).toBe('[]')
  })

  test('nothing in a word is carried out', () => {
    const words = ['$(echo x)', '`echo x`', '$HOME', '*', '~', '; echo x', '"', '!x', '\nexit 3\n'].map(
      (text) => Buffer.from(text),
    )
    const result = evaluate(shell, echo(words), directory)
    expect([result.stdout, result.status]).toEqual([brackets(words), 0])
  })

  test('print prints text as it is, percent signs too, and exit ends the launcher', () => {
    const result = evaluate(shell, new Plan().print("100% of 'it'\\n\n").exit(7).bytes, directory)
    expect([result.stdout.toString(), result.status]).toEqual(["100% of 'it'\\n\n", 7])
  })
})

test('quote: text is quoted as its UTF-8 bytes', () => {
  expect(quote('é')).toEqual(quote(Buffer.from('é')))
  expect(quote("a'b").toString()).toBe("'a'\\''b'")
})

test('print of nothing adds nothing to the plan', () => {
  expect(new Plan().print('').bytes).toHaveLength(0)
})
