/**
 * The C programs of the tests, compiled when a test first asks for one. The name of the result carries a hash
 * of its source, so a changed source is compiled again and two test runs can share one directory.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import path from 'node:path'

export const REPOSITORY = path.resolve(import.meta.dirname, '..', '..')
/** HOLDFAST_BINARY names another one to test: an installed package, for example. */
export const HOLDFAST = process.env.HOLDFAST_BINARY ?? path.join(REPOSITORY, 'bin', 'holdfast')

const BUILD = path.join(REPOSITORY, 'build', 'test-programs')

/** @returns the absolute path of the compiled `test/programs/NAME.c`. */
export function program(name: string): string {
  const source = path.join(REPOSITORY, 'test', 'programs', `${name}.c`)
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const result = path.join(BUILD, `${name}-${hash}`)
  if (existsSync(result)) return result
  mkdirSync(BUILD, { recursive: true })
  // Renamed into place, so that nobody ever executes half a program.
  const unfinished = `${result}.${process.pid}`
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', unfinished, source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  renameSync(unfinished, result)
  return result
}
