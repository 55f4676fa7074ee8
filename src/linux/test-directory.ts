/** A private directory for one test file. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll } from 'vitest'

/** Makes the directory; it goes when the tests of the file are over. */
export function testDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-unit-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
