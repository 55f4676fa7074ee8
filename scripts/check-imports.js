/**
 * Checks that imports between the folders of src/ go downwards only. `node scripts/check-imports.js [SRC]`
 * prints one line for each import that does not, and then ends with exit code 1.
 *
 * docs/ARCHITECTURE.md explains the layers. A folder that is missing from FOLDERS is a violation too, so that
 * a new one gets its place in both.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'rolldown/parseAst'

/**
 * What the modules of a folder may import besides their own folder.
 * - `folders`: other folders of src/, or `folder/file` for that one module (or those below it) only;
 * - `packages`: npm packages;
 * - `node`: whether Node's own modules. The rules and the protocol run anywhere, so they get none.
 * @type {Record<string, { folders: string[], packages: string[], node: boolean }>}
 */
const FOLDERS = {
  lib: { folders: [], packages: [], node: false },
  lease: { folders: ['lib'], packages: [], node: false },
  fuse: { folders: ['lib'], packages: [], node: false },
  linux: { folders: ['lib'], packages: ['koffi'], node: true },
  passthrough: { folders: ['lib', 'fuse', 'linux'], packages: [], node: true },
  control: { folders: ['lib', 'lease', 'fuse'], packages: [], node: true },
  daemon: {
    folders: ['lib', 'lease', 'fuse', 'linux', 'passthrough', 'control'],
    packages: [],
    node: true,
  },
  client: { folders: ['lib', 'linux', 'control/formats'], packages: [], node: true },
  cli: {
    folders: ['lib', 'linux', 'control', 'client', 'daemon/main'],
    packages: ['commander', '@commander-js/extra-typings'],
    node: true,
  },
  litmus: {
    folders: ['lib', 'lease', 'client', 'linux', 'control/formats'],
    packages: ['commander', '@commander-js/extra-typings'],
    node: true,
  },
}

/** Tests and what they share (`test-*.ts`) may use these, and Node's modules, in every folder. */
const TEST_PACKAGES = ['vitest', 'fast-check', 'rolldown']

/**
 * @typedef {object} Import
 * @property {string} specifier
 * @property {number} line
 */

/**
 * Every module specifier of a file: static, dynamic, re-exported and type-only.
 * @param {string} source
 * @returns {Import[]}
 */
function importsOf(source) {
  /** @type {Import[]} */
  const found = []
  /** @param {any} node */
  const visit = (node) => {
    if (Array.isArray(node)) {
      for (const element of node) visit(element)
      return
    }
    if (node === null || typeof node !== 'object') return
    if (/^(Import|Export\w*|TSImport)(Declaration|Expression|Type|Equals)$/.test(node.type)) {
      const literal = node.source ?? node.argument?.literal ?? node.argument
      if (typeof literal?.value === 'string') {
        const line = source.slice(0, node.start).split('\n').length
        found.push({ specifier: literal.value, line })
      }
    }
    for (const key in node) if (key !== 'type') visit(node[key])
  }
  visit(parseAst(source, { lang: 'ts' }))
  return found
}

/** @param {string} file */
function isForTests(file) {
  return file.endsWith('.test.ts') || path.posix.basename(file).startsWith('test-')
}

/**
 * Why a module of `folder` may not import `specifier`, or null if it may.
 * @param {{ folder: string, file: string, specifier: string, isTest: boolean }} from `file` is relative to src/
 */
function objection({ folder, file, specifier, isTest }) {
  const rule = FOLDERS[folder]
  if (rule === undefined) return `src/${folder} has no row in scripts/check-imports.js`
  if (specifier.startsWith('node:')) {
    return rule.node || isTest ? null : `src/${folder} may not import Node's modules`
  }
  if (!specifier.startsWith('.')) {
    if (isTest && TEST_PACKAGES.includes(specifier)) return null
    if (rule.packages.includes(specifier)) return null
    const users = Object.keys(FOLDERS).filter((name) => FOLDERS[name]?.packages.includes(specifier))
    if (users.length === 0) return 'no folder may import this package'
    return `only ${users.map((name) => `src/${name}`).join(' and ')} may import this package`
  }
  const target = path.posix.join(path.posix.dirname(file), specifier).replace(/\.[jt]s$/, '')
  if (isForTests(target) && !isTest) return 'only tests may import what is made for tests'
  if (target.startsWith('../')) return 'leads out of src/'
  const targetFolder = target.split('/')[0]
  if (targetFolder === folder) return null
  const isAllowed = rule.folders.some((allowed) => target === allowed || target.startsWith(`${allowed}/`))
  if (isAllowed) return null
  const allowed = rule.folders.map((name) => `src/${name}`).join(', ')
  return `src/${folder} may import ${allowed === '' ? 'no other folder' : `only ${allowed}`}`
}

/**
 * @param {string} src The src/ directory.
 * @returns {string[]} One line per violation, sorted by file.
 */
export function checkImports(src) {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.[cm]?tsx?$/.test(file) && !file.endsWith('.d.ts'))
    .map((file) => file.split(path.sep).join('/'))
    .sort()
  /** @type {string[]} */
  const violations = []
  for (const file of files) {
    const folder = file.includes('/') ? /** @type {string} */ (file.split('/')[0]) : ''
    const isTest = isForTests(file)
    if (folder === '') {
      violations.push(`src/${file}: every module belongs into a folder of src/`)
      continue
    }
    for (const { specifier, line } of importsOf(readFileSync(path.join(src, file), 'utf8'))) {
      const reason = objection({ folder, file, specifier, isTest })
      if (reason !== null) violations.push(`src/${file}:${line}: imports '${specifier}': ${reason}`)
    }
  }
  return violations
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = checkImports(process.argv[2] ?? fileURLToPath(new URL('../src', import.meta.url)))
  for (const violation of violations) console.error(violation)
  if (violations.length > 0) process.exitCode = 1
}
