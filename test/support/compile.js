/**
 * The C programs of the tests, compiled when somebody first asks for one. The name of the result carries a hash of
 * its source, so a changed source is compiled again and two test runs can share one directory.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import path from 'node:path'

export const REPOSITORY = path.resolve(import.meta.dirname, '..', '..')
const PROGRAMS = path.join(REPOSITORY, 'test', 'programs')
const BUILD = path.join(REPOSITORY, 'build', 'test-programs')

/**
 * @param {string} name of `test/programs/NAME.c`; what it includes is called `NAME-....h`.
 * @returns {string} the absolute path of the compiled program.
 */
export function program(name) {
  const source = path.join(PROGRAMS, `${name}.c`)
  const headers = readdirSync(PROGRAMS).filter((file) => file.startsWith(`${name}-`) && file.endsWith('.h'))
  const digest = createHash('sha256').update(readFileSync(source))
  for (const header of headers.sort()) digest.update(readFileSync(path.join(PROGRAMS, header)))
  const result = path.join(BUILD, `${name}-${digest.digest('hex').slice(0, 12)}`)
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
