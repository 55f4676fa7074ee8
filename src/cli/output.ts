/** Text for people and JSON for programs, on standard output. */
import { textWidth } from '../lib/text-width.js'
import { writeAll } from '../linux/files.js'

export function print(text: string): void {
  writeAll(1, Buffer.from(text.endsWith('\n') || text === '' ? text : `${text}\n`))
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Columns without lines around them, as `ps` prints them. Linear: there may be 100,000 leases to list. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  print(formatTable([head, ...rows.map((row) => row.map(String))]))
}

export function formatTable(lines: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const cells of lines) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, textWidth(cell))
    }
  }
  const pad = (cell: string, column: number) => cell + ' '.repeat((widths[column] ?? 0) - textWidth(cell))
  return lines.map((cells) => cells.map(pad).join('  ').trimEnd()).join('\n')
}
