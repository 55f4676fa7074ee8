import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const RELATIVE_IMPORT = /(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g
const root = fileURLToPath(new URL('../', import.meta.url))
const isBuilt = existsSync(path.join(root, 'dist/cli/main.js'))

/** What `npm publish` would send, as paths below the repository. */
function packedFiles(): string[] {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // A list of packages, or an object with one entry for each: that depends on the version of npm.
  const [packed] = Object.values(JSON.parse(output) as Record<string, { files: { path: string }[] }>)
  return packed?.files.map((file) => file.path) ?? []
}

describe.skipIf(!isBuilt)('the npm package (skipped before the first npm run build)', () => {
  const files = packedFiles()

  test('has what it needs to run: launcher, header, and every entry of exports', () => {
    const { exports, bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, Record<string, string>>
      bin: Record<string, string>
    }
    const entries = Object.values(exports).flatMap((conditions) => Object.values(conditions))
    const wanted = [...entries.map((entry) => entry.replace(/^\.\//, '')), ...Object.values(bin)]
    expect(files).toEqual(expect.arrayContaining([...wanted, 'include/holdfast.h', 'dist/holdfast.cjs']))
  })

  test('has nothing of tests in it, and no sources', () => {
    expect(
      files.filter((file) => /\.test\.|(^|\/)test-|golden|\/testing\.|^(src|test)\//.test(file)),
    ).toEqual([])
  })

  test('imports nothing that is not in it', () => {
    const packed = new Set(files)
    const missing: string[] = []
    for (const file of files) {
      if (!/^dist\/.*\/.*\.(js|d\.ts)$/.test(file)) continue
      const source = readFileSync(path.join(root, file), 'utf8')
      for (const [, specifier = ''] of source.matchAll(RELATIVE_IMPORT)) {
        const target = path.join(path.dirname(file), specifier)
        const isThere = packed.has(target) || packed.has(target.replace(/\.js$/, '.d.ts'))
        if (!isThere) missing.push(`${file}: ${specifier}`)
      }
    }
    expect(missing).toEqual([])
  })
})
