/** include/holdfast.h as C and C++ compilers read it: no warning, and the numbers of src/control/formats/abi.ts. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CONSTANTS, LAYOUT, SIZES } from '../src/control/formats/test-layout.js'

const include = new URL('../include', import.meta.url).pathname
const header = readFileSync(`${include}/holdfast.h`, 'utf8')

const STANDARDS = {
  c: ['c99', 'c11', 'c17', 'gnu17'],
  'c++': ['c++11', 'c++17', 'c++20'],
}
const COMPILERS = [
  ['gcc', 'c'],
  ['clang', 'c'],
  ['g++', 'c++'],
  ['clang++', 'c++'],
] as const
const WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wshadow', '-Werror']

/** What the compiler has to say; empty is as it should be. */
function compile(
  compiler: string,
  language: keyof typeof STANDARDS,
  standard: string,
  source: string,
): string {
  // With optimization, because some warnings come from what is found out on the way.
  const options = [
    '-x',
    language,
    `-std=${standard}`,
    ...WARNINGS,
    '-O2',
    `-I${include}`,
    '-c',
    '-o',
    '/dev/null',
  ]
  const { status, stderr } = spawnSync(compiler, [...options, '-'], { input: source, encoding: 'utf8' })
  return status === 0 ? stderr : stderr || `${compiler} ended with ${status}`
}

/** An array type of a negative size does not compile, in any version of C and C++. */
function assertions(facts: readonly (readonly [string, number])[]): string {
  return facts.map(([what, is], i) => `typedef char fact_${i}[(${what}) == ${is}u ? 1 : -1];`).join('\n')
}

const facts: [string, number][] = Object.entries(CONSTANTS)
for (const [struct, fields] of Object.entries(LAYOUT)) {
  const type = `struct holdfast_${struct}`
  facts.push([`sizeof(${type})`, SIZES[struct as keyof typeof SIZES]])
  for (const [field, [offset, size]] of Object.entries(fields)) {
    facts.push([`offsetof(${type}, ${field})`, offset], [`sizeof(((${type} *)0)->${field})`, size])
  }
}

const functions = [...header.matchAll(/^static inline .*?(holdfast_\w+)\(/gm)].map(([, name]) => name ?? '')

/** Takes the address of every function, so that none is left out of the translation. */
const USES = `
#include <stddef.h>
extern void use(void (*)(void));
void all(void);
void all(void)
{
${functions.map((name) => `\tuse((void (*)(void))${name});`).join('\n')}
}
`

for (const [compiler, language] of COMPILERS) {
  const isThere = spawnSync(compiler, ['--version']).status === 0
  describe.skipIf(!isThere)(`include/holdfast.h by ${compiler} (skipped where there is none)`, () => {
    describe.each(STANDARDS[language])('%s', (standard) => {
      test('alone and included twice it compiles without a warning', () => {
        expect(compile(compiler, language, standard, '#include <holdfast.h>\n')).toBe('')
        const twice = `#include <holdfast.h>\n#include <holdfast.h>\n${USES}`
        expect(compile(compiler, language, standard, twice)).toBe('')
      })

      test('every size, offset and number is the one that abi.ts uses', () => {
        const source = `#include <holdfast.h>\n#include <stddef.h>\n${assertions(facts)}\n`
        expect(compile(compiler, language, standard, source)).toBe('')
      })

      test('a wrong number would not compile', () => {
        for (const [what, is] of [
          ['offsetof(struct holdfast_query, command)', 41],
          ['HOLDFAST_SETLEASE', 0xc0404802],
        ] as const) {
          const source = `#include <holdfast.h>\n#include <stddef.h>\n${assertions([[what, is]])}\n`
          expect(compile(compiler, language, standard, source)).toContain('fact_0')
        }
      })
    })
  })
}

test('every number that the header defines is checked here', () => {
  const defined = [...header.matchAll(/^#define (HOLDFAST_\w+) /gm)].map(([, name]) => name ?? '')
  expect(defined.sort()).toEqual(Object.keys(CONSTANTS).sort())
  expect(functions.length).toBeGreaterThan(8)
})
