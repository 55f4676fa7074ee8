/** Text for people and JSON for programs, on standard output. */
import { formatTable } from '../lib/text-table.js'
import { writeAll } from '../linux/files.js'

export function print(text: string): void {
  writeAll(1, Buffer.from(text.endsWith('\n') || text === '' ? text : `${text}\n`))
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  print(formatTable([head, ...rows.map((row) => row.map(String))]))
}
