/** Text for people and JSON for programs, on standard output. */
import { formatTable } from '../lib/text-table.js'
import { LinuxError } from '../linux/error.js'
import { writeAll } from '../linux/files.js'

/** Throws a LinuxError that names standard output. */
export function writeOut(bytes: Uint8Array): void {
  try {
    writeAll(1, bytes)
  } catch (error) {
    throw error instanceof LinuxError ? new LinuxError(error.errno, 'write', 'standard output') : error
  }
}

export function print(text: string): void {
  writeOut(Buffer.from(text.endsWith('\n') || text === '' ? text : `${text}\n`))
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  print(formatTable([head, ...rows.map((row) => row.map(String))]))
}
