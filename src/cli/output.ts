/** Text for people and JSON for programs, on standard output. */
import Table from 'cli-table3'
import { writeAll } from '../linux/files.js'

export function print(text: string): void {
  writeAll(1, Buffer.from(text.endsWith('\n') || text === '' ? text : `${text}\n`))
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Columns without lines around them, as `ps` prints them. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const bare = Object.fromEntries(
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'].map(
      (edge) => [edge, ''],
    ),
  )
  const inner = { left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' }
  const table = new Table({
    head: [...head],
    chars: { ...bare, ...inner },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  table.push(...rows.map((row) => row.map(String)))
  print(table.toString().replace(/[ \t]+$/gm, ''))
}
