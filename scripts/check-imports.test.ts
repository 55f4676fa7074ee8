import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkImports } from './check-imports.js'

let src = ''

beforeEach(() => {
  src = mkdtempSync(path.join(tmpdir(), 'holdfast-imports-'))
})
afterEach(() => {
  rmSync(src, { recursive: true })
})

function write(file: string, source: string): void {
  mkdirSync(path.dirname(path.join(src, file)), { recursive: true })
  writeFileSync(path.join(src, file), source)
}

describe('check-imports', () => {
  test('the imports of this repository go downwards only', () => {
    expect(checkImports(new URL('../src', import.meta.url).pathname)).toEqual([])
  })

  test('imports of the own folder, of lower folders and of allowed packages pass', () => {
    write('lib/a.ts', "export { b } from './b.js'\n")
    write('lease/a.ts', "import type { A } from '../lib/a.js'\nimport './deep/b.js'\n")
    write('linux/a.ts', "import koffi from 'koffi'\nimport { open } from 'node:fs'\n")
    write('client/a.ts', "import { parse } from '../control/formats.js'\n")
    expect(checkImports(src)).toEqual([])
  })

  test('an import upwards is named with file, line and rule', () => {
    write('lease/rules.ts', "// A comment.\nimport { Daemon } from '../daemon/daemon.js'\n")
    expect(checkImports(src)).toEqual([
      "src/lease/rules.ts:2: imports '../daemon/daemon.js': src/lease may import only src/lib",
    ])
  })

  test.each([
    ['a type', "import type { Daemon } from '../daemon/daemon.js'"],
    ['a re-export', "export * from '../daemon/daemon.js'"],
    ['a named re-export', "export { Daemon } from '../daemon/daemon.js'"],
    ['a dynamic import', "await import('../daemon/daemon.js')"],
    ['an import type in a signature', "let daemon: import('../daemon/daemon.js').Daemon"],
    ['an import from deeper down', "import '../lease/../daemon/daemon.js'"],
  ])('%s counts as an import', (_, source) => {
    write('lease/rules.ts', source)
    expect(checkImports(src)).toHaveLength(1)
  })

  test('what looks like an import in a comment or a string is none', () => {
    write('lease/rules.ts', "/* import '../daemon/a.js' */\nconst text = `import '../daemon/a.js'`\n")
    expect(checkImports(src)).toEqual([])
  })

  test('koffi belongs to src/linux alone, also for tests', () => {
    write('fuse/a.test.ts', "import koffi from 'koffi'\n")
    expect(checkImports(src)).toEqual([
      "src/fuse/a.test.ts:1: imports 'koffi': only src/linux may import this package",
    ])
  })

  test("the rules import none of Node's modules, but their tests may", () => {
    write('lease/a.ts', "import { readFileSync } from 'node:fs'\n")
    write('lease/a.test.ts', "import { readFileSync } from 'node:fs'\nimport { test } from 'vitest'\n")
    expect(checkImports(src)).toEqual([
      "src/lease/a.ts:1: imports 'node:fs': src/lease may not import Node's modules",
    ])
  })

  test('what tests share may import vitest, and nothing but tests may import it', () => {
    write('lease/test-world.ts', "import { expect } from 'vitest'\n")
    write('lease/a.test.ts', "import './test-world.js'\n")
    write('lease/a.ts', "import './test-world.js'\n")
    expect(checkImports(src)).toEqual([
      "src/lease/a.ts:1: imports './test-world.js': only tests may import what is made for tests",
    ])
  })

  test('the client sees the formats of the control directory and nothing else of it', () => {
    write('client/a.ts', "import { Control } from '../control/server.js'\n")
    expect(checkImports(src)).toHaveLength(1)
  })

  test('a folder without a row in the table is a violation', () => {
    write('utils/a.ts', "import '../lib/a.js'\n")
    write('stray.ts', '')
    expect(checkImports(src)).toEqual([
      'src/stray.ts: every module belongs into a folder of src/',
      "src/utils/a.ts:1: imports '../lib/a.js': src/utils has no row in scripts/check-imports.js",
    ])
  })
})
