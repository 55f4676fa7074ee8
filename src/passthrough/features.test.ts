import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FEATURES, featuresOf, initBits } from './features.js'

const documented = readFileSync(new URL('../../docs/ARCHITECTURE.md', import.meta.url), 'utf8')

test('the table in ARCHITECTURE.md is that in the code', () => {
  const rows = FEATURES.map((row) => `| ${row.name} | ${row.linux} (7.${row.minor}) | ${row.without} |`)
  const start = documented.indexOf('| feature | since Linux (FUSE) | without it |\n| --- | --- | --- |\n')
  const [, , ...table] = documented.slice(start, documented.indexOf('\n\n', start)).split('\n')
  expect(table).toEqual(rows)
})

test('names are those of the flags', () => {
  for (const { name, flag } of FEATURES) {
    expect(
      flag
        .replace(/^F(USE|OPEN)_/, '')
        .toLowerCase()
        .replaceAll('_', '-'),
    ).toBe(name)
  }
})

test('init-ext says in its row what goes with it', () => {
  const above = FEATURES.filter(({ bit }) => bit >= 1n << 32n).map(({ name }) => name)
  const said = FEATURES.find(({ name }) => name === 'init-ext')?.without ?? ''
  for (const name of above) expect(said).toContain(name)
})

test('what has no flag in INIT goes by the minor version, and what is left out is not there', () => {
  expect(featuresOf({ minor: 34, flags: 0n }, new Set())).toEqual(new Set(['cache-dir']))
  expect(featuresOf({ minor: 35, flags: 0n }, new Set())).toEqual(new Set(['noflush', 'cache-dir']))
  expect(featuresOf({ minor: 35, flags: ~0n & 0xffn }, new Set(['noflush', 'async-read']))).toEqual(
    new Set(['atomic-o-trunc', 'dont-mask', 'big-writes', 'cache-dir']),
  )
  expect(initBits(new Set(['noflush'])).without).toBe(0n)
})
